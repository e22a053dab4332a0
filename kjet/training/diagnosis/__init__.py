"""What limits a solution: measured, in words and in numbers, with changes of the configuration that may help."""

from .advice import Advice
from .diagnose import brief, diagnose
from .indicator import Indicator, estimate_error
from .report import Diagnosis

__all__ = ["Advice", "Diagnosis", "Indicator", "brief", "diagnose", "estimate_error"]
