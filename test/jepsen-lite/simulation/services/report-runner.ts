// Workers render reports, one worker at a time, and upload the pages to an archive outside of the cluster.
//
// The bug: the archive takes pages without the fencing token of the lock. A worker that was paused while it rendered a
// page uploads it into the report of its successor.

import { setTimeout as sleep } from 'node:timers/promises'
import type { ProcessSelf, World } from '../../../../jepsen-lite/testing/index.ts'
import { Client } from '../../../../src/client/index.ts'
import { lock } from '../../../../src/recipes/index.ts'
import { type Service, supervised } from './service.ts'

const PAGES = 10

interface Page {
  readonly author: number
  readonly page: number
}

/** An object store that keeps the pages of each report. The first page begins the report again. */
class Archive {
  readonly reports = new Map<string, readonly Page[]>()
  readonly mixed: string[] = []
  #newest = 0

  /** Refuses a token lower than the highest that it has seen. */
  async uploadFenced(report: string, page: Page, token: number): Promise<boolean> {
    if (token < this.#newest) return false
    this.#newest = token
    await this.upload(report, page)
    return true
  }

  async upload(report: string, page: Page): Promise<void> {
    const pages = page.page === 1 ? [] : (this.reports.get(report) ?? [])
    if (page.page !== pages.length + 1 || pages.some(({ author }) => author !== page.author))
      this.mixed.push(report)
    this.reports.set(report, [...pages, page])
  }
}

async function work(self: ProcessSelf, endpoints: readonly string[], archive: Archive, isFenced: boolean) {
  const kv = new Client({ endpoints })
  await supervised(self.signal, async () => {
    for (;;) {
      await using held = await lock(kv, 'reports', { ttlMs: 2_000, signal: self.signal })
      const report = (await kv.get('reports/next'))?.text() ?? '1'
      for (let page = 1; page <= PAGES; page++) {
        await sleep(40) // renders
        held.throwIfLost()
        const upload = { author: held.token, page }
        await sleep(100) // the request to the archive
        if (!isFenced) await archive.upload(report, upload)
        else if (!(await archive.uploadFenced(report, upload, held.token))) return
      }
      await held.put('reports/next', String(Number(report) + 1))
    }
  })
}

async function run(world: World, isFenced: boolean): Promise<void> {
  const archive = new Archive()
  for (const name of ['w1', 'w2'])
    world.process(name, (self) => work(self, world.endpoints, archive, isFenced))
  world.always('the pages of a report are by one worker, in order', () => archive.mixed.length === 0)
  await world.after(6_000)
  const before = archive.reports.size
  await world.eventually('another report is made', () => archive.reports.size > before)
}

export const reportRunner: Service = {
  processes: ['w1', 'w2'],
  right: (world) => run(world, true),
  wrong: (world) => run(world, false),
}
