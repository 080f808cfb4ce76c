"""The sizes of virtual machines that Azure Machine Learning takes, by series.

https://learn.microsoft.com/azure/machine-learning/concept-compute-target#supported-vm-series-and-sizes
"""

from __future__ import annotations

from typing import Any

_D, _E = (2, 4, 8, 16, 32, 48, 64), (2, 4, 8, 16, 20, 32, 48, 64)
_DA, _EA = (*_D, 96), (*_E, 96)
_OLD_D = (1, 2, 3, 4, 5, 11, 12, 13, 14, 15)
SERIES: dict[str, tuple[int, ...]] = {
    "A{}_V2": (1, 2, 4, 8),
    "A{}M_V2": (2, 4, 8),
    "D{}": (1, 2, 3, 4, 11, 12, 13, 14),
    "D{}_V2": _OLD_D,
    "DS{}_V2": _OLD_D,
    **dict.fromkeys(("D{}_V3", "D{}S_V3", "D{}_V4", "D{}S_V4", "D{}D_V4", "D{}DS_V4"), _D),
    **dict.fromkeys(("D{}A_V4", "D{}AS_V4", "D{}_V5", "D{}S_V5", "D{}D_V5", "D{}DS_V5", "D{}AS_V5", "D{}ADS_V5"), _DA),
    **dict.fromkeys(("E{}_V3", "E{}S_V3", "E{}_V4", "E{}S_V4", "E{}D_V4", "E{}DS_V4"), _E),
    **dict.fromkeys(("E{}A_V4", "E{}AS_V4", "E{}_V5", "E{}S_V5", "E{}D_V5", "E{}DS_V5", "E{}AS_V5", "E{}ADS_V5"), _EA),
    "F{}S_V2": (2, 4, 8, 16, 32, 48, 64, 72),
    "FX{}MDS": (4, 12, 24, 36, 48),
    "HB{}RS": (60,),
    "HB{}RS_V2": (120,),
    "HB{}RS_V3": (120,),
    "HC{}RS": (44,),
    "L{}S": (4, 8, 16, 32),
    "L{}S_V2": (8, 16, 32, 48, 64, 80),
    "M{}MS": (8, 16, 32, 64, 128),
    "NC{}": (6, 12, 24),
    "NC{}R": (24,),
    "NC{}S_V2": (6, 12, 24),
    "NC{}RS_V2": (24,),
    "NC{}S_V3": (6, 12, 24),
    "NC{}RS_V3": (24,),
    "NC{}AS_T4_V3": (4, 8, 16, 64),
    "NC{}ADS_A100_V4": (24, 48, 96),
    "NC{}ADS_H100_V5": (40,),
    "NC{}ADIS_H100_V5": (80,),
    "ND{}S": (6, 12, 24),
    "ND{}RS": (24,),
    "ND{}RS_V2": (40,),
    "ND{}ASR_V4": (96,),
    "ND{}AMSR_A100_V4": (96,),
    "ND{}ISR_H100_V5": (96,),
    "ND{}ISR_H200_V5": (96,),
    "NV{}": (6, 12, 24),
    "NV{}S_V3": (12, 24, 48),
    "NV{}AS_V4": (4, 8, 16, 32),
    "NV{}ADS_A10_V5": (6, 12, 18, 36, 72),
}
SIZES = frozenset(f"STANDARD_{series.format(cores)}" for series, numbers in SERIES.items() for cores in numbers)


def is_known(size: str) -> bool:
    """Tell whether there is such a size; their names match in any case."""
    return size.upper() in SIZES


def unsupported(size: str) -> dict[str, Any]:
    """Return the error with which the creation of a compute of an unknown size fails."""
    message = (
        f"The specified value {size} for property Cluster.Properties.VMSize is not a supported VM size. "
        "See additional details for supported VM sizes."
    )
    supported = {"code": "SupportedVMSizes", "message": ",".join(sorted(SIZES))}
    return {"code": "InvalidPropertyValue", "message": message, "details": [supported]}
