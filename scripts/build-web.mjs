// Builds the pages of web/ with Vite. In a clone setup.mjs makes them when they are older than their sources.
//
//   build-web.mjs [DIRECTORY]             the console; default web/dist/. The package has it in dist/ui/
//   build-web.mjs DIRECTORY lab.html      the lab, for any web host, and any path there: web/dist-lab/, dist/lab/
//   build-web.mjs DIRECTORY design.html   the page that shows the parts of the design

import { renameSync } from 'node:fs'
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
// The document of a folder.
if (document === 'lab.html')
  renameSync(join(resolve(directory), document), join(resolve(directory), 'index.html'))
