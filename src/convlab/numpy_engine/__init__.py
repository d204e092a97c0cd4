"""R4's network by hand: NumPy alone, each layer with `forward` and `backward`, no automatic differentiation.

Images lie in memory as [N, H, W, C]: the channels of a pixel are a row of a matrix. Only `engine.py` knows
PyTorch, whose memory the weights stay in: so both engines start from, checkpoint, save and evaluate the same.
"""
