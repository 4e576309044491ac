// Builds the console (web/) with Vite: `build-web.mjs [DIRECTORY]`. In a clone the files are in web/dist/, and
// setup.mjs makes them when they are older than their sources. The package has them in dist/ui/.
//
// `build-web.mjs DIRECTORY design.html` builds the page that shows the parts of the design.

import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const page = join(dirname(dirname(fileURLToPath(import.meta.url))), 'web')
const [directory = join(page, 'dist'), document = 'index.html'] = process.argv.slice(2)
await build({
  configFile: join(page, 'vite.config.ts'),
  build: { outDir: resolve(directory), rolldownOptions: { input: join(page, document) } },
  logLevel: 'warn',
})
