package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/luraproject/lura/v2/config"
	"github.com/luraproject/lura/v2/logging"
	"github.com/luraproject/lura/v2/proxy"
	krakendgin "github.com/luraproject/lura/v2/router/gin"
)

// routeTestTime is how long `check -t` keeps the configured port.
const routeTestTime = time.Second

func checkCommand(o options) int {
	if o.file == "" {
		fmt.Fprintln(os.Stderr, "Please, provide the path to the configuration file with --config or see all the options with --help")
		return exitCheckFailed
	}
	fmt.Fprintf(os.Stderr, "Parsing configuration file: %s\n", o.file)
	cfg, err := parse(o.file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ERROR parsing the configuration file:\t%s\n\n", err)
		return exitCheckFailed
	}
	if o.testRoutes {
		if err := testRoutes(cfg); err != nil {
			fmt.Fprintf(os.Stderr, "ERROR testing the configuration file:\t%s\n\n", err)
			return exitCheckFailed
		}
	}
	fmt.Fprintln(os.Stderr, "Syntax OK!")
	return exitOK
}

// testRoutes registers every endpoint on a real router: conflicting routes
// make the router panic, and the panic's text is the finding.
func testRoutes(cfg config.ServiceConfig) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	gin.SetMode(gin.ReleaseMode)
	ctx, cancel := context.WithTimeout(context.Background(), routeTestTime)
	defer cancel()
	krakendgin.DefaultFactory(proxy.DefaultFactory(logging.NoOp), logging.NoOp).NewWithContext(ctx).Run(cfg)
	return nil
}
