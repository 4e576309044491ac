// The requests of CoreDNS's plugin etcd (plugin/etcd/etcd.go, as of August 2026), for the questions of a resolver. A
// name is a key with its labels in reverse order. The plugin reads all keys below it, and the key itself if there are
// none. Names with a wildcard are read from the label above it on. It asks how long the lease of each found key lasts.

import type { Step } from './conversation.ts'
import type { JsonObject } from './frame.ts'

interface Service {
  readonly name: string
  readonly record: JsonObject
  readonly lease?: number
}

const LEASE = 1

const SERVICES: readonly Service[] = [
  { name: 'a.server1.dev.region1.skydns.test.', record: { host: 'dev.server1', port: 8080 } },
  { name: 'a.server1.prod.region1.skydns.test.', record: { host: '10.0.0.1', port: 8080 } },
  { name: 'b.server1.prod.region1.skydns.test.', record: { host: '10.0.0.2', port: 8080 } },
  { name: 'b.server6.prod.region1.skydns.test.', record: { host: '::1', port: 8080 } },
  { name: 'a.txt.server1.prod.region1.skydns.test.', record: { text: 'sometext' } },
  { name: 'cname.prod.region1.skydns.test.', record: { host: 'unresolvable.skydns.test' } },
  { name: 'b.cname.skydns.test.', record: { host: 'a.cname.skydns.test' } },
  { name: 'a.cname.skydns.test.', record: { host: 'b.cname.skydns.test' } },
  { name: 'a.ns.dns.skydns.test.', record: { host: '10.0.0.2' } },
  { name: 'ns1.c.ns.dns.skydns.test.', record: { host: '10.0.0.4', targetstrip: 1 } },
  { name: 'apex.dns.skydns_zoneb.test.', record: { host: '10.0.0.4' } },
  { name: '1.0.0.10.in-addr.arpa.', record: { host: 'reverse.example.com' } },
  { name: 'leased.skydns.test.', record: { host: '10.0.0.9' }, lease: LEASE },
  { name: 'mixed.leased.skydns.test.', record: { host: '10.0.0.10', ttl: 60 }, lease: LEASE },
]

const QUESTIONS: readonly string[] = [
  'a.server1.dev.region1.skydns.test.',
  'doesnotexist.skydns.test.',
  'server1.prod.region1.skydns.test.',
  'b.server6.prod.region1.skydns.test.',
  '*.region1.skydns.test.',
  'a.*.prod.region1.skydns.test.',
  'any.prod.region1.skydns.test.',
  'cname.prod.region1.skydns.test.',
  'unresolvable.skydns.test.',
  'a.cname.skydns.test.',
  'b.cname.skydns.test.',
  'ns.dns.skydns.test.',
  'apex.dns.skydns_zoneb.test.',
  'skydns.test.',
  '1.0.0.10.in-addr.arpa.',
  '2.0.0.10.in-addr.arpa.',
  'leased.skydns.test.',
]

const labelsFrom = (name: string): string[] => name.split('.').slice(0, -1).toReversed()

const keyFrom = (labels: readonly string[]): string => `/${['skydns', ...labels].join('/')}`

const write = ({ name, record, lease = 0 }: Service): Step => ({
  rpc: 'put',
  request: { key: keyFrom(labelsFrom(name)), value: JSON.stringify(record), lease },
})

/** All keys below a key: `0` follows the slash. */
const readBelow = (key: string): Step => ({
  rpc: 'range',
  request: { key: `${key}/`, rangeEnd: `${key}0` },
})

const read = (key: string): Step => ({ rpc: 'range', request: { key } })

const REST: Step = { rpc: 'leaseTimeToLive', request: { id: LEASE } }

function ask(name: string, services: readonly Service[]): readonly Step[] {
  const labels = labelsFrom(name)
  const wildcard = labels.findIndex((label) => label === '*' || label === 'any')
  const key = keyFrom(wildcard < 0 ? labels : labels.slice(0, wildcard))
  const keys = services.map((service) => ({ ...service, key: keyFrom(labelsFrom(service.name)) }))
  const below = keys.filter((each) => each.key.startsWith(`${key}/`))
  const found = below.length > 0 ? below : keys.filter((each) => each.key === key)
  const rests = found.filter(({ lease }) => lease !== undefined).map(() => REST)
  return [readBelow(key), ...(below.length > 0 ? [] : [read(key)]), ...rests]
}

const askAll = (services: readonly Service[]): Step[] => QUESTIONS.flatMap((name) => ask(name, services))

const LEFT = SERVICES.filter(({ lease }) => lease === undefined)

export const COREDNS: Readonly<Record<string, readonly Step[]>> = {
  'questions before there are records': askAll([]),
  'questions about records': [
    { rpc: 'leaseGrant', request: { id: LEASE, ttl: 300 } },
    ...SERVICES.map(write),
    ...askAll(SERVICES),
  ],
  'questions after records have gone': [
    { rpc: 'leaseGrant', request: { id: LEASE, ttl: 300 } },
    ...SERVICES.map(write),
    { rpc: 'leaseRevoke', request: { id: LEASE } },
    ...LEFT.slice(0, 4).map(
      ({ name }): Step => ({ rpc: 'deleteRange', request: { key: keyFrom(labelsFrom(name)) } }),
    ),
    ...askAll(LEFT.slice(4)),
  ],
}
