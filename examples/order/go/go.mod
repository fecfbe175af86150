module order

go 1.24

require go.temporal.io/sdk v1.38.0

replace (
	go.temporal.io/api => ../../../guest-sdk/go/api
	go.temporal.io/sdk => ../../../guest-sdk/go
)

require go.temporal.io/api v1.60.0 // indirect
