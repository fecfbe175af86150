module {{name}}

go 1.24

require go.temporal.io/sdk v1.38.0
