// Who the voters are, as the supervisor of a local cluster learns it from the nodes that answer.

import { createServer } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { knownVoters } from '../../src/cli/cluster/voters.ts'

test('a node that is joining does not say that there are no voters', async () => {
  const joining = await nodeThatSays({ term: 9, leader: null, members: [] })
  expect(await knownVoters([joining])).toBeUndefined()

  const n1 = { name: 'n1', replica_id: '5', role: 'voter', url: 'http://127.0.0.1:1' }
  const member = await nodeThatSays({ term: 1, leader: null, members: [n1] })
  const voters = [{ name: 'n1', replicaId: '5', url: n1.url }]
  expect(await knownVoters([joining, member])).toEqual(voters)
  expect(await knownVoters([member, joining])).toEqual(voters)
})

async function nodeThatSays(cluster: object): Promise<string> {
  const server = createServer((_, answer) => answer.end(JSON.stringify(cluster)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}
