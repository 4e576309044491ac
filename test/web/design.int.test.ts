// The page that shows the parts of the design.

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { describeConsole, findBarriers, needsChromium, openPage } from './browser.ts'

const BUILD = join(import.meta.dirname, '../../scripts/build-web.mjs')
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
}

describeConsole(needsChromium('the parts of the design'), () => {
  let url: string
  beforeAll(async () => {
    const directory = mkdtempSync(join(tmpdir(), 'quorate-design-'))
    await promisify(execFile)(process.execPath, [BUILD, directory, 'design.html'])
    const server = createServer(({ url: path = '' }, response) => {
      response.setHeader('Content-Type', TYPES[extname(path)] ?? 'application/octet-stream')
      createReadStream(join(directory, path)).pipe(response)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/design.html`
    return () => {
      server.closeAllConnections()
      server.close()
      rmSync(directory, { recursive: true })
    }
  })

  test('each part can be read and used, in light and dark', async () => {
    const page = await openPage(url, { colorScheme: 'light' })
    await page.getByRole('heading', { name: 'Requests' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
    await page.emulateMedia({ colorScheme: 'dark' })
    expect(await findBarriers(page)).toEqual([])
    await page.getByRole('button', { name: 'Delete' }).click()
    await page.getByRole('dialog', { name: 'Delete 3 keys?' }).waitFor()
    expect(await findBarriers(page)).toEqual([])
  })

  test('no part is wider than a small screen', async () => {
    const page = await openPage(url, { viewport: { width: 360, height: 800 } })
    await page.getByRole('heading', { name: 'Requests' }).waitFor()
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBe(0)
  })
})
