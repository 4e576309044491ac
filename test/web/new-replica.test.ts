import { expect, test } from 'vitest'
import {
  findReplicaFaults,
  nextAddresses,
  nextName,
  startCommand,
} from '../../web/src/pages/operation/new-replica.ts'

const member = (name: string, url: string, peer: string) =>
  ({ name, url, peer, replicaId: '1', role: 'voter', matchIndex: undefined }) as const

test('the next name follows the highest number', () => {
  expect(nextName(['n1', 'n10', 'n2'])).toBe('n11')
  expect(nextName(['berlin', 'paris'])).toBe('')
  expect(nextName(['db-2', 'other'])).toBe('db-3')
})

test('on one machine a node gets free ports, otherwise those of the others', () => {
  const local = [
    member('n1', 'http://127.0.0.1:7301', '127.0.0.1:7401'),
    member('n2', 'http://127.0.0.1:7309', '127.0.0.1:7402'),
  ]
  expect(nextAddresses(local, '')).toEqual({ client: '127.0.0.1:7310', peer: '127.0.0.1:7403' })
  const apart = [
    member('n1', 'https://10.0.0.1:7301', '10.0.0.1:7401'),
    member('n2', 'https://10.0.0.2:7301/kv', '10.0.0.2:7401'),
  ]
  expect(nextAddresses(apart, '10.0.0.4')).toEqual({ client: '10.0.0.4:7301', peer: '10.0.0.4:7401' })
})

test('a command stays one command, whatever is in it', () => {
  const node = { name: 'n4', client: '1.2.3.4:5', peer: 'x; reboot:6', isReplacement: true }
  expect(startCommand({ ...node, join: ["http://a'b", 'http://c'] })).toBe(
    [
      'quorate node start --name n4 \\',
      '  --data /var/lib/quorate/n4 \\',
      '  --listen 1.2.3.4:5 \\',
      "  --peer-listen 'x; reboot:6' \\",
      "  --join 'http://a'\\''b,http://c' --replace",
    ].join('\n'),
  )
})

test('each field of a replica is judged', () => {
  const right = { name: 'n4', id: '12', peer: '10.0.0.4:7401', url: 'http://10.0.0.4:7301' }
  expect(Object.values(findReplicaFaults(right))).toEqual([undefined, undefined, undefined, undefined])
  const wrong = { name: 'N 4', id: '0', peer: '10.0.0.4', url: 'http://10.0.0.4/' }
  expect(Object.values(findReplicaFaults(wrong))).not.toContain(undefined)
})
