import { InvalidArgumentError } from '@commander-js/extra-typings'
import { expect, test } from 'vitest'
import { parseEtcdAddress } from '../../../src/cli/migrate/etcd-address.ts'

test.each([
  ['etcd://10.0.0.1:2379', false, ['http://10.0.0.1:2379']],
  ['etcd://a,b:12379', false, ['http://a:2379', 'http://b:12379']],
  ['etcd://a:1, etcd://b:2', false, ['http://a:1', 'http://b:2']],
  ['etcds://a/', true, ['https://a:2379']],
  ['etcd://[::1]:2379', false, ['http://[::1]:2379']],
  ['etcd://[::1]', false, ['http://[::1]:2379']],
])('%s', (text, isSecure, urls) => {
  expect(parseEtcdAddress(text)).toEqual({ text, isSecure, urls })
})

test.each([
  'http://10.0.0.1:2379',
  '10.0.0.1:2379',
  'etcd://',
  'etcd://a,,b',
  'etcd://a/path',
  'etcd://a?x=1',
  'etcd://a:99999',
])('refuses %s', (text) => {
  expect(() => parseEtcdAddress(text)).toThrow(InvalidArgumentError)
})

test('a password is not repeated', () => {
  expect(() => parseEtcdAddress('etcd://ann:secret@a')).toThrow('--etcd-user')
})
