// The console of a local cluster loads the code that serves its page when a browser asks for it, and that may fail.

import { expect, onTestFinished, test, vi } from 'vitest'
import { call, openFor } from './console-requests.ts'

const PAGE = '../../src/console/built-page.ts'

test('a page that could not be loaded is tried again', async () => {
  onTestFinished(() => void vi.doUnmock(PAGE))
  vi.doMock(PAGE, () => {
    throw new Error('too many open files')
  })
  const { address } = await openFor()
  const failed = await call(address, '/ui/')
  expect([failed.status, JSON.parse(failed.text).code]).toEqual([500, 'internal'])
  vi.doUnmock(PAGE)
  // It is built only for some tests.
  expect([200, 404]).toContain((await call(address, '/ui/')).status)
})
