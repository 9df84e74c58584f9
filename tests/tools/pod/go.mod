module moorage.dev/tests/tools/pod

go 1.25.0
