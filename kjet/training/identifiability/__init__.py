"""How well observations determine unknown parameters."""

from .fisher import marginal_information
from .profile import Profile, profile
from .report import Identifiability, identifiability

__all__ = ["Identifiability", "Profile", "identifiability", "marginal_information", "profile"]
