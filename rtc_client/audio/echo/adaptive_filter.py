"""AdaptiveEchoFilter: subtracts from the captured audio what follows from the played audio. Linear; pure.

The path from loudspeaker to microphone is learned as a filter of 0.6 s, long enough for a late echo and for the
reverberation of a bare room, in the frequency domain, block by block (a partitioned Kalman filter: Enzner and Vary,
"Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free telephones", 2006; Kuech, Mabande and
Enzner, "State-space architecture of the partitioned-block-based acoustic echo controller", 2014). It knows how sure it
is of each frequency, so it learns fast at first, and does not learn a caller who speaks meanwhile.

It believes that rooms do not move. They do, and so do the clocks of two devices. Where the loudness of what is left
follows that of what was subtracted, more is left than it believes (Valin, "On adjusting the learning rate in frequency
domain echo cancellation with double-talk", 2007), so it becomes less sure, and learns again.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, Samples

Real: TypeAlias = NDArray[np.float32]
Spectrum: TypeAlias = NDArray[np.complex64]

BLOCK_SAMPLES: Final = FRAME_SAMPLES
N_BINS: Final = BLOCK_SAMPLES + 1
N_BLOCKS: Final = 30
"""Length of the filter."""

_UNSURE: Final = 0.03
_UNSURE_DECAY_DB_PER_S: Final = 20.0
"""How strong an echo may be before anything is known, as the square of a factor: a later one is weaker."""
_STAYS: Final = np.float32(0.9997**2)
"""How much of the path is believed to be the same one block later."""
_NEAR_MEMORY: Final = np.float32(0.5)

_N_BANDS: Final = 16
_LOWEST_BIN: Final = 8
_LEAK_MEMORY: Final = 0.04
_MAX_LOSS: Final = np.float32(1.3)
"""By how much less sure it becomes in one block at most."""
_AUDIBLE: Final = 4.0 * BLOCK_SAMPLES**2
"""Sum of a power spectrum from which on something is subtracted: -84 dBFS."""


class Left(NamedTuple):
    """What `AdaptiveEchoFilter.process` leaves of a block."""

    rest: Real
    """What is captured without what was found of the echo: shape `(BLOCK_SAMPLES,)`, full scale 32768."""
    echo: Real
    """How much echo may be left in it: power spectrum, shape `(N_BINS,)`, of the block behind as many zeros."""


class AdaptiveEchoFilter:
    """Learns the path from loudspeaker to microphone, and subtracts what comes by it; 20 ms at a time, for one call."""

    def __init__(self) -> None:
        age_s = np.arange(N_BLOCKS, dtype=np.float32) * FRAME_S
        unsure = _UNSURE * 10 ** (-_UNSURE_DECAY_DB_PER_S * age_s / 10)
        self._prior: Real = np.repeat(unsure.astype(np.float32)[:, np.newaxis], N_BINS, axis=1)
        self._path: Spectrum = np.zeros((N_BLOCKS, N_BINS), dtype=np.complex64)
        self._unsure = self._prior.copy()
        self._far: Spectrum = np.zeros((N_BLOCKS, N_BINS), dtype=np.complex64)
        self._far_power: Real = np.zeros((N_BLOCKS, N_BINS), dtype=np.float32)
        self._far_block: Real = np.zeros(BLOCK_SAMPLES, dtype=np.float32)
        self._near_power: Real = np.full(N_BINS, 1e3, dtype=np.float32)
        self._n_silent = N_BLOCKS
        self._leak = _Leak()

    def process(self, near: Samples, far: Samples) -> Left:
        """Take a block of what was captured and of what was played meanwhile, or before: `(BLOCK_SAMPLES,)` each."""
        captured = near.astype(np.float32)
        if self._is_silent(far):
            return Left(captured, np.zeros(N_BINS, dtype=np.float32))
        self._push(far.astype(np.float32))
        echo = np.fft.irfft(np.einsum("bk,bk->k", self._far, self._path))[BLOCK_SAMPLES:].astype(np.float32)
        rest: Real = captured - echo
        padded = np.zeros((2, 2 * BLOCK_SAMPLES), dtype=np.float32)
        padded[:, BLOCK_SAMPLES:] = rest, echo
        spectra = np.fft.rfft(padded).astype(np.complex64)
        left = self._learn(spectra[0], *_power(spectra))
        return Left(rest, left)

    def _is_silent(self, far: Samples) -> bool:
        """Return whether no echo can be heard any more; then there is nothing to subtract, and nothing to learn."""
        self._n_silent = 0 if far.any() else self._n_silent + 1
        if self._n_silent == N_BLOCKS + 1:
            self._far[:], self._far_power[:], self._far_block[:] = 0, 0, 0
        return self._n_silent > N_BLOCKS

    def _push(self, far: Real) -> None:
        spectrum = np.fft.rfft(np.concatenate((self._far_block, far))).astype(np.complex64)
        self._far_block = far
        self._far[1:], self._far_power[1:] = self._far[:-1], self._far_power[:-1]
        self._far[0], self._far_power[0] = spectrum, _power(spectrum)

    def _learn(self, rest: Spectrum, rest_power: Real, echo_power: Real) -> Real:
        """Correct the path by what is left; return how much echo may be in that."""
        path, unsure = self._path, self._unsure
        self._near_power += (1 - _NEAR_MEMORY) * (np.maximum(rest_power, 1) - self._near_power)
        believed = 0.5 * np.einsum("bk,bk->k", self._far_power, unsure)
        leaked = self._leak.add(rest_power, echo_power)
        loss = self._leak.loss(leaked, believed)
        unsure *= loss
        believed *= loss
        gain = unsure / (believed + self._near_power)
        step = np.fft.irfft(gain * np.conj(self._far) * rest, axis=1).astype(np.float32)
        step[:, BLOCK_SAMPLES:] = 0
        before = _power(path)
        unsure *= _STAYS * (1 - 0.5 * gain * self._far_power)
        unsure += (1 - _STAYS) * before
        np.minimum(unsure, self._prior + before, out=unsure)
        path += np.fft.rfft(step, axis=1).astype(np.complex64)
        left: Real = np.maximum(believed, leaked)
        return left


class _Leak:
    """How much of what was subtracted is left, in bands: by how the loudness of the one follows that of the other."""

    def __init__(self) -> None:
        self._edges = np.unique(np.rint(np.geomspace(_LOWEST_BIN, N_BINS, _N_BANDS + 1)).astype(int))[:-1]
        n_bands = len(self._edges)
        self._band = np.clip(np.searchsorted(self._edges, np.arange(N_BINS), side="right") - 1, 0, None)
        self._means = np.zeros((2, n_bands))
        self._covariance = np.zeros(n_bands)
        self._variance = np.full(n_bands, 1e-3)

    def add(self, rest_power: Real, echo_power: Real) -> Real:
        """Take in what was left of a block and what was subtracted; return what of that may be left."""
        bands = np.add.reduceat(np.stack((rest_power, echo_power)), self._edges, axis=1)
        if bands[1].sum() > _AUDIBLE:
            rest, echo = bands - self._means
            self._means += _LEAK_MEMORY * (bands - self._means)
            self._covariance += _LEAK_MEMORY * (rest * echo - self._covariance)
            self._variance += _LEAK_MEMORY * (echo * echo - self._variance)
        share = np.clip(self._covariance / (self._variance + 1e-3), 0, 1).astype(np.float32)
        leaked: Real = share[self._band] * echo_power
        return leaked

    def loss(self, leaked: Real, believed: Real) -> Real:
        """Return by which factor the filter has to become less sure at each frequency: at least 1."""
        bands = [np.add.reduceat(power, self._edges) for power in (leaked, believed)]
        loss: Real = np.clip(np.sqrt(bands[0] / (bands[1] + 1)), 1, _MAX_LOSS)
        return loss[self._band]


def _power(spectrum: Spectrum) -> Real:
    power: Real = spectrum.real**2 + spectrum.imag**2
    return power
