// A session ends its lease also where the files of the package cannot be read any more, as after an upgrade.

import { expect, test, vi } from 'vitest'
import { answered, inVirtualTime, scripted } from './scripted-transport.ts'
import { freezeTime } from './with-fakes.ts'

test('a session that is closed loads nothing to revoke its lease', async () => {
  freezeTime()
  const answers = [answered(200, { id: '7', ttl_ms: 10_000 }), answered(200, { deleted: 0, revision: 9 })]
  const { kv, transport } = scripted(1, (_, nth) => answers[nth] ?? answered(500, {}))
  const session = await inVirtualTime(kv.session())
  vi.doMock('../../src/operations/revoke.ts', () => {
    throw new Error('ENOENT')
  })
  expect(await inVirtualTime(session.close())).toBe(true)
  expect(transport.sent.map(({ method }) => method)).toEqual(['POST', 'DELETE'])
  await kv.close()
})
