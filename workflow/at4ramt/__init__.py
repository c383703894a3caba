"""AT4rAMT: adversarial training for robust automatic music transcription."""

import os

__version__ = "0.1.0"

# The wheels of ONNX Runtime note what they run, and send it to their makers, unless they are told
# before they are imported. Every process of ours imports this package first.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
