package main

import "github.com/luraproject/lura/v2/config"

// fillAliases tells the engine which long namespace each documented short
// name of extra_config stands for. Names that stand for themselves
// (`qos/ratelimit/router`, `qos/ratelimit/proxy`) need no entry.
func fillAliases() {
	for short, long := range map[string]string{
		"auth/client-credentials":  "github.com/devopsfaith/krakend-oauth2-clientcredentials",
		"auth/signer":              "github.com/devopsfaith/krakend-jose/signer",
		"auth/validator":           "github.com/devopsfaith/krakend-jose/validator",
		"backend/graphql":          "github.com/devopsfaith/krakend/transport/http/client/graphql",
		"backend/http":             "github.com/devopsfaith/krakend/http",
		"modifier/lua-backend":     "github.com/devopsfaith/krakend-lua/proxy/backend",
		"modifier/lua-endpoint":    "github.com/devopsfaith/krakend-lua/router",
		"modifier/lua-proxy":       "github.com/devopsfaith/krakend-lua/proxy",
		"modifier/martian":         "github.com/devopsfaith/krakend-martian",
		"plugin/http-client":       "github.com/devopsfaith/krakend/transport/http/client/executor",
		"plugin/http-server":       "github_com/devopsfaith/krakend/transport/http/server/handler",
		"plugin/req-resp-modifier": "github.com/devopsfaith/krakend/proxy/plugin",
		"proxy":                    "github.com/devopsfaith/krakend/proxy",
		"qos/circuit-breaker":      "github.com/devopsfaith/krakend-circuitbreaker/gobreaker",
		"qos/http-cache":           "github.com/devopsfaith/krakend-httpcache",
		"router":                   "github_com/luraproject/lura/router/gin",
		"security/bot-detector":    "github_com/devopsfaith/krakend-botdetector",
		"security/cors":            "github_com/devopsfaith/krakend-cors",
		"security/http":            "github_com/devopsfaith/krakend-httpsecure",
		"telemetry/logging":        "github_com/devopsfaith/krakend-gologging",
		"telemetry/metrics":        "github_com/devopsfaith/krakend-metrics",
		"validation/cel":           "github.com/devopsfaith/krakend-cel",
		"validation/json-schema":   "github.com/devopsfaith/krakend-jsonschema",
	} {
		config.ExtraConfigAlias[short] = long
	}
}
