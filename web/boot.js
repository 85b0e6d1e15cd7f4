// The theme comes before the first paint, then the module. No inline script: the manager's content security policy forbids it.
(function () {
  try {
    var theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") document.documentElement.setAttribute("data-theme", theme);
  } catch (storageIsOff) { /* the system's theme holds */ }
  import("/assets/app.js").then(function (app) {
    return app.default({ module_or_path: "/assets/app_bg.wasm" });
  });
})();
