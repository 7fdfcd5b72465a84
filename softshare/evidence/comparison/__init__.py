"""The same runs made twice, on two machines or in two precisions."""
