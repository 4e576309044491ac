// The log of a node, where it cannot be written.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { logDestination } from '../../src/cli/node-log.ts'

test('of lines that cannot be written one MiB waits until they can, and nothing else happens', async () => {
  // As on a full disk: each write fails.
  const file = openSync(import.meta.filename, 'r')
  const logger = pino(logDestination(file))
  expect(() => logger.info('one')).not.toThrow()
  await turn()
  for (let line = 0; line < 3000; line++) expect(() => logger.info('x'.repeat(1000))).not.toThrow()
  await turn()
  const dir = mkdtempSync(join(tmpdir(), 'quorate-log-'))
  closeSync(file)
  expect(openSync(join(dir, 'log'), 'w')).toBe(file)
  logger.info('two')
  closeSync(file)
  const lines = readFileSync(join(dir, 'log'), 'utf8')
  expect(lines).toContain('"one"')
  expect(lines.length).toBeGreaterThan(1_000_000)
  expect(lines.length).toBeLessThanOrEqual(1024 * 1024)
  rmSync(dir, { recursive: true })
})
