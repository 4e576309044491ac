// Who the voters are, as the supervisor of a local cluster learns it from the nodes that answer.

import { createServer } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { asked, knownVoters } from '../../src/local/voters.ts'

test('a node that is joining does not say that there are no voters', async () => {
  const joining = await nodeThatSays({ term: 9, leader: null, members: [] })
  const at = (...urls: string[]) => urls.map((url) => ({ name: 'n1', url }))
  expect(await knownVoters(at(joining))).toBeUndefined()

  const n1 = { name: 'n1', replica_id: '5', role: 'voter', url: 'http://127.0.0.1:1' }
  const member = await nodeThatSays({ term: 1, leader: null, members: [n1] })
  const voters = [{ name: 'n1', replicaId: '5', url: n1.url }]
  expect(await knownVoters(at(joining, member))).toEqual(voters)
  expect(await knownVoters(at(member, joining))).toEqual(voters)
})

test('a node of the original does not stand for that of the copy', async () => {
  const n1 = { name: 'n1', replica_id: '1', role: 'voter', url: 'http://127.0.0.1:1' }
  const n3 = { name: 'n3', replica_id: '3', role: 'voter', url: 'http://127.0.0.1:3' }
  const original = await nodeThatSays({ replica_id: '2', term: 9, leader: 'n2', members: [n1, n3] })
  const n2 = { name: 'n2', replica_id: '2', role: 'voter', url: original }
  // n2 led before the copy was made, and n1 has heard of no other leader yet.
  const local = await nodeThatSays({ replica_id: '1', term: 9, leader: 'n2', members: [n1, n2] })
  const copy = [{ name: 'n1', url: local }]
  const voters = [
    { name: 'n1', replicaId: '1', url: n1.url },
    { name: 'n2', replicaId: '2', url: original },
  ] as const
  expect(await knownVoters(copy)).toEqual(voters)
  expect(await asked(voters[1], copy)).toBeUndefined()
  expect(await asked(voters[1], [{ name: 'n1', url: n1.url }])).toEqual({ knowsLeader: true })
})

async function nodeThatSays(cluster: object): Promise<string> {
  const server = createServer((_, answer) => answer.end(JSON.stringify(cluster)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}
