import { expect, test } from 'vitest'
import { helpText, optionsOf } from '../../bench/options.ts'

const names = (...args: string[]): string[] => optionsOf(args).scenarios.map(({ name }) => name)

test.each([
  [['--only', 'put-65'], 'There is no scenario put-65. npm run bench -- --list shows all.'],
  [
    ['--against', 'etcd,redis'],
    '--against takes etcd, etcd:3.4, nats, nats:default, consul, rqlite, not redis.',
  ],
  [['--over', 'udp'], '--over takes http, client, mux, grpc, not udp.'],
  [['--keys', '1e6'], '--keys takes a whole number from 1 on, not 1e6.'],
  [['--seconds', '0'], '--seconds takes a number of seconds above 0, not 0.'],
  [
    ['--endpoints', '127.0.0.1:7301'],
    '--endpoints takes base URLs like http://127.0.0.1:7301, not 127.0.0.1:7301.',
  ],
  [['--pids', '1'], 'Give as many --pids as --endpoints, in the same order.'],
  [['-o', 'csv'], 'There is no output csv. Write -o table or -o json.'],
  [['--sekonds', '3'], "Unknown option '--sekonds'. npm run bench -- --help lists the flags."],
  [
    ['--endpoints', 'http://127.0.0.1:1', '--only', 'fail-over'],
    'fail-over kills nodes: leave --endpoints out, so that it has its own cluster.',
  ],
  [
    ['--endpoints', 'http://127.0.0.1:1', '--only', 'put-64,fail-over'],
    'fail-over kills nodes: leave --endpoints out, so that it has its own cluster.',
  ],
  [
    ['--endpoints', 'http://127.0.0.1:1', '--pids', '1,2'],
    'Give as many --pids as --endpoints, in the same order.',
  ],
])('%j is refused and says what to do', (args, message) => {
  expect(() => optionsOf(args)).toThrow(message)
})

test('what takes long only when asked for', () => {
  for (const name of ['put-10m', 'secure']) expect(names()).not.toContain(name)
  expect(names('--long')).toEqual(expect.arrayContaining(['put-10m', 'secure']))
  expect(names('--only', 'put-10m,put-64')).toEqual(['put-64', 'put-10m'])
})

test('nodes of the user are not killed', () => {
  const given = names('--endpoints', 'http://127.0.0.1:7301')
  expect(given).toContain('put-64')
  expect(given).not.toContain('fail-over')
})

test('a comparison has two rounds unless told otherwise', () => {
  expect(optionsOf([]).rounds).toBe(1)
  expect(optionsOf(['--against', 'etcd']).rounds).toBe(2)
  expect(optionsOf(['--against', 'etcd', '--rounds', '3']).rounds).toBe(3)
})

test('a comparison has several systems, each once', () => {
  const against = (text: string): string[] => optionsOf(['--against', text]).against.map(({ name }) => name)
  expect(optionsOf([]).against).toEqual([])
  expect(against('nats,etcd,nats,nats:default')).toEqual(['nats', 'etcd', 'nats:default'])
})

test('--help names every flag', () => {
  const flags = ['--only', '--against', '--over', '--keys', '--rounds', '--dir', '--output', '--help']
  expect(flags.filter((flag) => !helpText().includes(flag))).toEqual([])
  expect(optionsOf(['--help']).help).toBe(true)
})
