"""The landscape of a loss: curvature on a grid, basins of attraction, paths of the flow."""
