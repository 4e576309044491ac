// The library that gives a process a failing disk and a wrong clock, on a separate process.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { Preload, type PreloadFaults } from '../../../jepsen-lite/local/preload/preload.ts'

const dir = mkdtempSync(join(tmpdir(), 'preload-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const PROBE = `
  const { openSync, fdatasyncSync, writeSync } = require('node:fs')
  const attempt = (work) => { try { work(); return 'ok' } catch (error) { return error.code } }
  const fd = openSync(process.argv[1], 'w')
  const uptime = () => Number(require('node:fs').readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000
  const said = { write: attempt(() => writeSync(fd, 'x')), sync: attempt(() => fdatasyncSync(fd)), year: new Date().getUTCFullYear() }
  const [told, real] = [performance.now(), uptime()]
  setTimeout(() => {
    said.ratio = (performance.now() - told) / (uptime() - real)
    process.stdout.write(JSON.stringify(said))
  }, 400)
`

test('a node can be given a full disk, failing syncs and clocks that are wrong; or the machine is said to lack what that takes', () => {
  const preload = Preload.build(dir)
  if ('missing' in preload) {
    expect(preload.missing).toMatch(/Linux|compile|preloaded/)
    return
  }
  const suffer = (node: string, faults: PreloadFaults) => {
    preload.set(node, faults)
    const env = { ...process.env, ...preload.env(node, dir) }
    return JSON.parse(
      execFileSync(process.execPath, ['-e', PROBE, join(dir, 'file')], { env, encoding: 'utf8' }),
    )
  }
  const year = new Date().getUTCFullYear()
  expect(suffer('well', {})).toMatchObject({ write: 'ok', sync: 'ok', year })
  expect(suffer('full', { diskFull: true })).toMatchObject({ write: 'ENOSPC', sync: 'ok' })
  expect(preload.hits('full').writesRefused).toBeGreaterThan(0)
  expect(suffer('failing', { syncFails: true })).toMatchObject({ write: 'ok', sync: 'EIO' })
  expect(preload.hits('failing').syncsFailed).toBe(1)
  expect(preload.hits('well')).toEqual({
    syncsDelayed: 0,
    syncsFailed: 0,
    writesRefused: 0,
    wrongClockReads: 0,
  })
  const fast = suffer('fast', { clockRate: 4, wallOffsetMs: -3 * 365 * 86_400_000 })
  expect(fast.year).toBeLessThan(year - 1)
  expect(fast.ratio).toBeGreaterThan(2.5)
  preload.close()
})
