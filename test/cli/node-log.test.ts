// The log of a node, where it cannot be written.

import { closeSync, openSync } from 'node:fs'
import { setImmediate as turn } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { logDestination } from '../../src/cli/node-log.ts'

test('lines that cannot be written are lost, and nothing else happens', async () => {
  // As on a full disk: each write fails.
  const file = openSync(import.meta.filename, 'r')
  const logger = pino(logDestination(file))
  expect(() => logger.info('one')).not.toThrow()
  await turn()
  expect(() => logger.info('two')).not.toThrow()
  await turn()
  closeSync(file)
})
