// Builds the console (web/) with Vite: `build-web.mjs [DIRECTORY]`. In a clone the files are in web/dist/, and
// setup.mjs makes them when they are older than their sources. The package has them in dist/ui/.

import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'vite'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const outDir = resolve(process.argv[2] ?? join(root, 'web', 'dist'))
await build({ configFile: join(root, 'web', 'vite.config.ts'), build: { outDir }, logLevel: 'warn' })
