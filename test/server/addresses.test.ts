// The checks of a directory, an address and the package before a node starts.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import {
  isBaseUrl,
  isPeerAddress,
  PEER_CHARS_MAX,
  URL_CHARS_MAX,
} from '../../src/operations/forms/members.ts'
import { holdsNode } from '../../src/server/replica/inspect-data-directory.ts'
import { formatStorage } from '../../src/storage/directory.ts'
import { networkPrefix } from '../../src/system/addresses.ts'
import { version } from '../../src/system/version.ts'
import { identity, initial } from '../storage/samples.ts'

test.each([
  ['h:1', true],
  ['127.0.0.1:7401', true],
  ['[::1]:65535', true],
  ['h:59999', true],
  ['h:64999', true],
  ['h:65499', true],
  ['h:65529', true],
  [`${'h'.repeat(PEER_CHARS_MAX - 2)}:1`, true],
  [`${'h'.repeat(PEER_CHARS_MAX - 1)}:1`, false],
  ['h:0', false],
  ['h:01', false],
  ['h:65536', false],
  ['h:65540', false],
  ['h:65600', false],
  ['h:66000', false],
  ['h:70000', false],
  ['h:100000', false],
  ['h:', false],
  [':1', false],
  ['h', false],
  ['h:1 ', false],
  [' h:1', false],
  ['h h:1', false],
  ['h\x7f:1', false],
  ['h\x1f:1', false],
  ['h:1\n', false],
])('%j is the address of a peer: %s', (text, is) => {
  expect(isPeerAddress(text)).toBe(is)
})

test.each([
  ['http://h', true],
  ['https://h:7301', true],
  ['http://h/a/b', true],
  [`http://${'h'.repeat(URL_CHARS_MAX - 7)}`, true],
  [`http://${'h'.repeat(URL_CHARS_MAX - 6)}`, false],
  ['http://', false],
  ['http://h/', false],
  ['http://h?a', false],
  ['http://h#a', false],
  ['http://h?', false],
  ['http://h h', false],
  ['http://h\x00', false],
  ['http://\x7fh', false],
  ['httpx://h', false],
  ['xhttp://h', false],
  ['h:7301', false],
])('%j is the URL of an API: %s', (text, is) => {
  expect(isBaseUrl(text)).toBe(is)
})

test('a directory holds a node when it is formatted, or when only the node can judge what is there', async () => {
  const home = mkdtempSync(join(tmpdir(), 'quorate-holds-'))
  onTestFinished(() => rmSync(home, { recursive: true, force: true }))
  expect(holdsNode(join(home, 'absent'))).toBe(false)
  const empty = join(home, 'empty')
  mkdirSync(empty)
  expect(holdsNode(empty)).toBe(false)
  const used = join(home, 'used')
  await formatStorage(used, identity, initial)
  expect(holdsNode(used)).toBe(true)
  const others = join(home, 'others')
  mkdirSync(others)
  writeFileSync(join(others, 'letter.txt'), 'mine')
  expect(holdsNode(others)).toBe(true)
})

test('the version is that of the package', () => {
  const manifest = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8'))
  expect(version()).toBe(manifest.version)
  expect(version()).toMatch(/^\d+\.\d+\.\d+/)
})

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::1', '0:0:0:0::/64'],
  ['2001:db8::1', '2001:db8:0:0::/64'],
  ['2001:db8:0:0:ffff::', '2001:db8:0:0::/64'],
  ['2001:0db8:0000:0001:2:3:4:5', '2001:db8:0:1::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  ['', ''],
])('the network of %j is %j', (address, network) => {
  expect(networkPrefix(address)).toBe(network)
})
