"""The Fashion-MNIST perceptron."""
