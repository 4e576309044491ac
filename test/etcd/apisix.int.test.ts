// The conversation of APISIX, which was recorded with etcd, repeated with quorate.

import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { quickPasswords } from '../quick-passwords.ts'
import { type ApisixAnswers, converseAsApisix } from './apisix.ts'
import { startQuorate } from './differential/servers.ts'
import { type GatewayAnswer, withError } from './gateway-cases.ts'

quickPasswords()

/** etcd ends a watch of a compacted revision without stating its own revision. */
const COMPACTED = 'watch of a compacted revision'

function withRevision({ lines: [created, ended], ...answer }: GatewayAnswer): GatewayAnswer {
  const { result } = ended as { readonly result: { readonly header: object } }
  const header = { ...result.header, revision: '14' }
  return { ...answer, lines: [created, { result: { ...result, header } }] }
}

test.each(['3.6', '3.4'])('answers are those of etcd %s', async (release) => {
  const golden = await readFile(`test/etcd/golden/${release}/apisix.json`, 'utf8')
  const { answers: recorded } = JSON.parse(golden) as { readonly answers: ApisixAnswers }
  const server = await startQuorate()
  const answers = await converseAsApisix(Number(new URL(server.endpoint).port)).finally(server.stop)
  expect(Object.keys(answers)).toEqual(Object.keys(recorded))
  for (const [name, answer] of Object.entries(recorded)) {
    const expected = { ...answer, lines: answer.lines.map(withError) }
    expect.soft(answers[name], name).toEqual(name === COMPACTED ? withRevision(expected) : expected)
  }
})
