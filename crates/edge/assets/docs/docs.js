// Shows the document that this gateway serves, and asks nobody else.
SwaggerUIBundle({
  url: "../openapi.json",
  domNode: document.getElementById("api"),
  deepLinking: true,
  // Its badge would ask a server of the library's makers about our document.
  validatorUrl: null,
});
