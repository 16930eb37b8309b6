"""Shell over aiortc: offer, answer, the state of ICE and DTLS, guards, tracks and close."""
