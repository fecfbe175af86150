module go.temporal.io/api

go 1.24
