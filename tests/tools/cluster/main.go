// Command cluster is every program of a Kubernetes 1.34 cluster in one binary.
//
// The programs share nearly all their code, so one binary links (and is
// downloaded, cached and copied) several times faster than eight. Which program
// runs is decided by the name it is called by (a symbolic link named kubelet)
// or, called by another name, by its first argument.
//
// It holds no code of its own beyond that choice: what runs is upstream's.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// programs maps each name to a function that runs the program on os.Args and
// returns its exit code.
var programs = map[string]func() int{
	"etcd": func() int {
		etcdmain.Main(os.Args)
		return 0
	},
	"kube-apiserver":               func() int { return cli.Run(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager":      func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) },
	"kube-scheduler":               func() int { return cli.Run(scheduler.NewSchedulerCommand()) },
	"kube-proxy":                   func() int { return cli.Run(proxy.NewProxyCommand()) },
	"kubelet":                      func() int { return cli.Run(kubelet.NewKubeletCommand(context.Background())) },
	"kubectl":                      runKubectl,
	"aws-cloud-controller-manager": runCloudController,
}

func main() {
	if run, ok := programs[filepath.Base(os.Args[0])]; ok {
		os.Exit(run())
	}
	if len(os.Args) > 1 {
		if run, ok := programs[os.Args[1]]; ok {
			os.Args = os.Args[1:]
			os.Exit(run())
		}
	}
	names := make([]string, 0, len(programs))
	for name := range programs {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(os.Stderr, "usage: %s PROGRAM [ARGUMENT...]\nprograms: %s\n",
		filepath.Base(os.Args[0]), strings.Join(names, ", "))
	os.Exit(2)
}

// runKubectl leaves the printing of an error to kubectl's own printer, which
// words the API server's answers for people.
func runKubectl() int {
	// An unparsable verbosity is reported by the flag parser further on.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	return 0
}
