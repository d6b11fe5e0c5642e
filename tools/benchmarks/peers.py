"""Feature extraction by other programs on the same sound, each with as much of our feature set as it has.

Missing ones are skipped: `pip install aubio-ledfx`, `pip install --pre essentia`. Frames of 2,048 samples every 512,
as ours; options that cost time and that we do not use are off.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

import numpy as np

RATE, FRAME, HOP = 22_050, 2_048, 512


def librosa() -> Callable:
    """Batch: everything from one spectrogram; pitch by YIN, since pYIN takes thirty times as long."""
    it = importlib.import_module("librosa")
    feature = it.feature

    def hear(sound):
        magnitude = np.abs(it.stft(sound, n_fft=FRAME, hop_length=HOP, center=False))
        power = magnitude**2
        mel = it.power_to_db(feature.melspectrogram(S=power, sr=RATE, n_mels=64))
        feature.mfcc(S=mel, n_mfcc=20)
        feature.chroma_stft(S=power, sr=RATE, tuning=0.0)
        feature.spectral_contrast(S=magnitude, sr=RATE)
        feature.spectral_centroid(S=magnitude, sr=RATE)
        feature.spectral_bandwidth(S=magnitude, sr=RATE)
        feature.spectral_rolloff(S=magnitude, sr=RATE)
        feature.spectral_flatness(S=magnitude)
        feature.rms(y=sound, frame_length=FRAME, hop_length=HOP, center=False)
        feature.zero_crossing_rate(sound, frame_length=FRAME, hop_length=HOP, center=False)
        onsets = it.onset.onset_strength(S=mel, sr=RATE, center=False)
        feature.tempo(onset_envelope=onsets, sr=RATE, hop_length=HOP)
        it.yin(sound, fmin=60, fmax=1_000, sr=RATE, frame_length=FRAME, hop_length=HOP, center=False)

    return hear


def aubio() -> Callable:
    """Streaming; without chroma, contrast and flatness."""
    it = importlib.import_module("aubio")

    def hear(sound):
        vocoder = it.pvoc(FRAME, HOP)
        mel = it.filterbank(64, FRAME)
        mel.set_mel_coeffs_slaney(RATE) if mel.get_coeffs().shape[0] == 40 else mel.set_mel_coeffs(RATE, 0, RATE / 2)
        mfcc = it.mfcc(FRAME, 64, 20, RATE)
        shapes = [it.specdesc(kind, FRAME) for kind in ("centroid", "spread", "rolloff", "specflux")]
        pitch, tempo = it.pitch("yinfft", FRAME, HOP, RATE), it.tempo("default", FRAME, HOP, RATE)
        onset = it.onset("default", FRAME, HOP, RATE)
        for at in range(0, len(sound) - HOP + 1, HOP):
            samples = sound[at : at + HOP]
            spectrum = vocoder(samples)
            mel(spectrum)
            mfcc(spectrum)
            for shape in shapes:
                shape(spectrum)
            pitch(samples)
            tempo(samples)
            onset(samples)
            it.db_spl(samples)
            it.zero_crossing_rate(samples)

    return hear


def essentia() -> Callable:
    """Standard mode: one algorithm after the other for each frame."""
    it = importlib.import_module("essentia.standard")
    importlib.import_module("essentia").log.infoActive = False

    def hear(sound):
        window, spectrum = it.Windowing(type="hann", size=FRAME), it.Spectrum(size=FRAME)
        mel = it.MFCC(numberBands=64, numberCoefficients=20, sampleRate=RATE, inputSize=FRAME // 2 + 1)
        peaks, chroma = it.SpectralPeaks(sampleRate=RATE), it.HPCP(sampleRate=RATE)
        contrast = it.SpectralContrast(sampleRate=RATE, frameSize=FRAME, highFrequencyBound=11_000)
        centroid, moments = it.Centroid(range=RATE / 2), it.CentralMoments(range=RATE / 2)
        rolloff, flatness, flux = it.RollOff(sampleRate=RATE), it.Flatness(), it.Flux()
        rms, crossings = it.RMS(), it.ZeroCrossingRate()
        pitch = it.PitchYinFFT(frameSize=FRAME, sampleRate=RATE)
        onset = it.OnsetDetection(method="flux", sampleRate=RATE)
        curve = []
        for frame in it.FrameGenerator(sound, frameSize=FRAME, hopSize=HOP, startFromZero=True):
            bins = spectrum(window(frame))
            mel(bins)
            chroma(*peaks(bins))
            contrast(bins)
            centroid(bins)
            moments(bins)
            rolloff(bins)
            flatness(bins)
            flux(bins)
            rms(frame)
            crossings(frame)
            pitch(bins)
            curve.append(onset(bins, bins))
        it.Onsets()(np.array([curve], np.float32), [1.0])

    return hear


PEERS = {"librosa, batch": (librosa, 10.0), "aubio": (aubio, 7.0), "essentia": (essentia, 8.0)}
