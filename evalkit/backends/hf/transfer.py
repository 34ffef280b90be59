"""Moving arrays to the device and results back without making the host wait for a GPU's queue.

A copy from or to pageable memory waits until a CUDA device has done everything asked of it before; one from or to
pinned memory is queued like any other work.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import torch


def upload(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """``array`` as a tensor on ``device``."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class Download:
    """Tensors on their way to the host, as they are when this is made; what the device is asked for later does not
    delay them.
    """

    def __init__(self, *tensors: torch.Tensor) -> None:
        # Torch gives a copy that need not be waited for pinned memory of its own accord.
        self._copies = [tensor.to("cpu", non_blocking=tensor.is_cuda) for tensor in tensors]
        self._arrived = None
        if tensors and tensors[0].is_cuda:
            self._arrived = torch.cuda.Event()
            self._arrived.record(torch.cuda.current_stream(tensors[0].device))

    def wait(self) -> list[npt.NDArray[Any]]:
        """The tensors as arrays, in order."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return [copy.numpy() for copy in self._copies]
