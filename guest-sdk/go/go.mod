module go.temporal.io/sdk

go 1.24

require go.temporal.io/api v0.0.0

replace go.temporal.io/api => ./api
