// Judges custom resources by their schemas: [[PLACE, DOCUMENT]…] on standard input,
// [[PLACE, MESSAGE]…] on standard output. Its argument is the folder of node_modules.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const PACKAGES = {
  'monitoring.coreos.com': 'prometheus-operator',
  'gateway.networking.k8s.io': 'gateway-api',
  'keda.sh': 'keda',
  'grafana.integreatly.org': 'grafana-operator',
};
const models = resolve(process.argv[2], 'node_modules/@kubernetes-models');

async function model({ apiVersion, kind }) {
  const [group, version] = apiVersion.split('/');
  const file = resolve(models, PACKAGES[group], group, version, `${kind}.js`);
  return (await import(pathToFileURL(file)))[kind];
}

const wrong = [];
for (const [place, document] of JSON.parse(readFileSync(0, 'utf8'))) {
  const Model = await model(document);
  try {
    new Model(document).validate();
  } catch (error) {
    wrong.push([place, error.message]);
  }
}
console.log(JSON.stringify(wrong));
