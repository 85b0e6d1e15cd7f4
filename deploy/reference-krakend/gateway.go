package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/gin-gonic/gin"
	botdetector "github.com/krakend/krakend-botdetector/v2/gin"
	cb "github.com/krakend/krakend-circuitbreaker/v3/gobreaker/proxy"
	cors "github.com/krakend/krakend-cors/v2/gin"
	gologging "github.com/krakend/krakend-gologging/v2"
	httpcache "github.com/krakend/krakend-httpcache/v2"
	httpsecure "github.com/krakend/krakend-httpsecure/v2/gin"
	jsonschema "github.com/krakend/krakend-jsonschema/v2"
	luaproxy "github.com/krakend/krakend-lua/v2/proxy"
	luarouter "github.com/krakend/krakend-lua/v2/router/gin"
	metrics "github.com/krakend/krakend-metrics/v2/gin"
	rateproxy "github.com/krakend/krakend-ratelimit/v3/proxy"
	raterouter "github.com/krakend/krakend-ratelimit/v3/router/gin"
	rss "github.com/krakend/krakend-rss/v2"
	xml "github.com/krakend/krakend-xml/v2"
	ginxml "github.com/krakend/krakend-xml/v2/gin"
	"github.com/luraproject/lura/v2/config"
	"github.com/luraproject/lura/v2/core"
	"github.com/luraproject/lura/v2/logging"
	"github.com/luraproject/lura/v2/proxy"
	krakendgin "github.com/luraproject/lura/v2/router/gin"
	"github.com/luraproject/lura/v2/transport/http/client"
	"github.com/luraproject/lura/v2/transport/http/server"
)

// serve runs the gateway until SIGINT or SIGTERM. A listener that cannot be
// bound is logged and ends it too: the exit code does not tell the two apart.
func serve(cfg config.ServiceConfig) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	logger := newLogger(cfg)
	logger.Info("Starting KrakenD v" + core.KrakendVersion)
	cancelOnFirstSignal(ctx, cancel, logger)
	registerEncodings(logger)

	collector := metrics.New(ctx, cfg.ExtraConfig, logger)
	pipes := proxyFactory(logger, backendFactory(logger, collector), collector)
	runServer := cors.NewRunServerWithLogger(
		cors.RunServer(server.RunServerWithLoggerFactory(logger)), logger)

	krakendgin.NewFactory(krakendgin.Config{
		Engine:         newEngine(ctx, cfg, logger),
		ProxyFactory:   pipes,
		Middlewares:    []gin.HandlerFunc{},
		Logger:         logger,
		HandlerFactory: handlerFactory(logger, collector),
		RunServer:      krakendgin.RunServerFunc(runServer),
	}).NewWithContext(ctx).Run(cfg)
}

func newLogger(cfg config.ServiceConfig) logging.Logger {
	if logger, err := gologging.NewLogger(cfg.ExtraConfig); err == nil {
		return logger
	}
	logger, err := logging.NewLogger("DEBUG", os.Stdout, "KRAKEND")
	if err != nil {
		return logging.NoOp
	}
	return logger
}

// cancelOnFirstSignal starts the graceful stop. Signals after the first stay
// in the channel, so only SIGKILL cuts the stop short.
func cancelOnFirstSignal(ctx context.Context, cancel context.CancelFunc, logger logging.Logger) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		select {
		case s := <-signals:
			logger.Info("Signal intercepted:", s)
			cancel()
		case <-ctx.Done():
		}
	}()
}

func registerEncodings(logger logging.Logger) {
	if err := xml.Register(); err != nil {
		logger.Error("[SERVICE: Encoding][XML]", err.Error())
	}
	if err := rss.Register(); err != nil {
		logger.Error("[SERVICE: Encoding][RSS]", err.Error())
	}
	krakendgin.RegisterRender("xml", ginxml.Render)
}

func backendFactory(logger logging.Logger, collector *metrics.Metrics) proxy.BackendFactory {
	requests := func(cfg *config.Backend) client.HTTPRequestExecutor {
		return client.DefaultHTTPRequestExecutor(httpcache.NewHTTPClient(cfg, client.NewHTTPClient))
	}
	var f proxy.BackendFactory = func(cfg *config.Backend) proxy.Proxy {
		return proxy.NewHTTPProxyWithHTTPExecutor(cfg, requests(cfg), cfg.Decoder)
	}
	f = luaproxy.BackendFactory(logger, f)
	f = rateproxy.BackendFactory(logger, f)
	f = cb.BackendFactory(f, logger)
	return collector.BackendFactory("backend", f)
}

func proxyFactory(logger logging.Logger, backends proxy.BackendFactory, collector *metrics.Metrics) proxy.Factory {
	f := proxy.NewDefaultFactory(backends, logger)
	f = proxy.NewShadowFactory(f)
	f = jsonschema.ProxyFactory(logger, f)
	f = luaproxy.ProxyFactory(logger, f)
	return collector.ProxyFactory("pipe", f)
}

func handlerFactory(logger logging.Logger, collector *metrics.Metrics) krakendgin.HandlerFactory {
	f := krakendgin.CustomErrorEndpointHandler(logger, server.DefaultToHTTPError)
	f = raterouter.NewRateLimiterMw(logger, f)
	f = luarouter.HandlerFactory(logger, f)
	f = collector.NewHTTPHandlerFactory(f)
	return botdetector.New(f, logger)
}

func newEngine(ctx context.Context, cfg config.ServiceConfig, logger logging.Logger) *gin.Engine {
	// No asynchronous agents here, so nothing ever reports into this channel.
	agents := make(chan string)
	context.AfterFunc(ctx, func() { close(agents) })
	engine := krakendgin.NewEngine(cfg, krakendgin.EngineOptions{
		Logger: logger,
		Writer: os.Stdout,
		Health: agents,
	})
	incomplete := func(c *gin.Context) {
		c.Header(core.KrakendHeaderName, core.KrakendHeaderValue)
		c.Header(server.CompleteResponseHeaderName, server.HeaderIncompleteResponseValue)
	}
	engine.NoRoute(incomplete)
	engine.NoMethod(incomplete)
	if err := httpsecure.Register(cfg.ExtraConfig, engine); err != nil {
		logger.Debug("[SERVICE: HTTPsecure]", err.Error())
	}
	luarouter.Register(logger, cfg.ExtraConfig, engine)
	botdetector.Register(cfg, logger, engine)
	return engine
}
