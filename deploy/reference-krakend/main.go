// Command krakend is the reference KrakenD of this project: the published
// engine and components of KrakenD CE, put together behind KrakenD's own
// command line. See README.md for what it leaves out.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/luraproject/lura/v2/config"
	"github.com/luraproject/lura/v2/core"
)

// Exit codes as KrakenD's command line gives them.
const (
	exitOK          = 0
	exitCheckFailed = 1
	exitBadInput    = 255
)

const usage = `Usage:
  krakend run   -c FILE [-p PORT] [-d]
  krakend check -c FILE [-t] [-n] [-d]
  krakend version
`

// options are the flags of all sub-commands; each uses the ones it knows.
type options struct {
	file       string
	port       int
	debug      bool
	testRoutes bool
	lint       bool
}

func main() {
	fillAliases()
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(exitOK)
	}
	os.Exit(dispatch(os.Args[1], os.Args[2:]))
}

func dispatch(command string, args []string) int {
	switch command {
	case "run", "check":
		opts, err := parseFlags(command, args)
		if err == flag.ErrHelp {
			fmt.Fprint(os.Stderr, usage)
			return exitOK
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "Error:", err)
			return exitBadInput
		}
		if command == "run" {
			return runCommand(opts)
		}
		return checkCommand(opts)
	case "version":
		fmt.Fprintln(os.Stderr, "KrakenD Version:", core.KrakendVersion)
		fmt.Fprintln(os.Stderr, "Go Version:", core.GoVersion)
		fmt.Fprintln(os.Stderr, "Glibc Version:", core.GlibcVersion)
		return exitOK
	case "help", "-h", "--help":
		fmt.Fprint(os.Stderr, usage)
		return exitOK
	}
	fmt.Fprintf(os.Stderr, "Error: unknown command %q for \"krakend\"\n", command)
	return exitBadInput
}

func parseFlags(command string, args []string) (options, error) {
	var o options
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	text := func(p *string, names ...string) {
		for _, n := range names {
			set.StringVar(p, n, "", "")
		}
	}
	toggle := func(p *bool, names ...string) {
		for _, n := range names {
			set.BoolVar(p, n, false, "")
		}
	}
	text(&o.file, "c", "config")
	toggle(&o.debug, "d", "debug")
	if command == "run" {
		set.IntVar(&o.port, "p", 0, "")
		set.IntVar(&o.port, "port", 0, "")
	} else {
		toggle(&o.testRoutes, "t", "test-gin-routes")
		toggle(&o.lint, "n", "lint-no-network")
	}
	return o, set.Parse(splitClusters(args))
}

// splitClusters turns `-tnc FILE` into `-t -n -c FILE`, which the usual
// command line accepts and the standard library does not.
func splitClusters(args []string) []string {
	var out []string
	for _, a := range args {
		cluster := len(a) > 2 && a[0] == '-' && a[1] != '-' && strings.Trim(a[1:], "cpdtn") == ""
		if !cluster {
			out = append(out, a)
			continue
		}
		for _, letter := range a[1:] {
			out = append(out, "-"+string(letter))
		}
	}
	return out
}

// parse reads a configuration file and gives the short extra_config names
// their long form: without that step every extra_config is silently ignored.
func parse(file string) (config.ServiceConfig, error) {
	cfg, err := config.NewParser().Parse(file)
	if err != nil {
		return cfg, err
	}
	cfg.Normalize()
	return cfg, nil
}

func runCommand(o options) int {
	if o.file == "" {
		fmt.Fprintln(os.Stderr, "Please, provide the path to the configuration file with --config or see all the options with --help")
		return exitOK
	}
	cfg, err := parse(o.file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ERROR parsing the configuration file: %s\n", err)
		return exitBadInput
	}
	cfg.Debug = cfg.Debug || o.debug
	if o.port != 0 {
		cfg.Port = o.port
	}
	serve(cfg)
	return exitOK
}
