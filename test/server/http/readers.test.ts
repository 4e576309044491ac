// The readers of the parts of a request: targets, parameters, conditions, tokens, and the plain form of a request.

import { describe, expect, test } from 'vitest'
import { readConditions } from '../../../src/operations/http/conditions.ts'
import { readIdempotencyKey } from '../../../src/operations/http/idempotency.ts'
import { namesMediaType } from '../../../src/operations/http/media-types.ts'
import {
  bytes,
  choiceParameter,
  flag,
  integer,
  readQuery,
  takeTimeout,
} from '../../../src/operations/http/parameters.ts'
import { percentDecode, queryDecode } from '../../../src/operations/http/percent.ts'
import { BODY_BYTES_MAX, HEAD_BYTES_MAX, RawParser } from '../../../src/server/connections/raw-parser.ts'
import { parseTarget } from '../../../src/server/connections/target.ts'

const codeOf = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return error instanceof Error && 'code' in error ? error.code : error
  }
}
const latin1 = (text: Uint8Array): string => Buffer.from(text).toString('latin1')

describe('the target', () => {
  test.each([
    ['/', undefined, '/', ''],
    ['/a?b', undefined, '/a', 'b'],
    ['/a?', undefined, '/a', ''],
    ['/?b?c', undefined, '/', 'b?c'],
    ['?b', undefined, '', 'b'],
    ['//h/a', undefined, '//h/a', ''],
    ['/http://h/a', undefined, '/http://h/a', ''],
    ['http://h/a?b', 'h', '/a', 'b'],
    ['HTTPS://h:1/a', 'h:1', '/a', ''],
    ['http://h', 'h', '', ''],
    ['http://h?b', 'h', '', 'b'],
    ['xhttp://h/a', undefined, 'xhttp://h/a', ''],
    ['http:/h/a', undefined, 'http:/h/a', ''],
    ['*', undefined, '*', ''],
  ])('%s', (target, authority, path, query) => {
    expect(parseTarget('GET', target)).toMatchObject({ authority, path, query })
  })

  test.each([
    ['', ''],
    ['a+b', 'a+b'],
    ['\xff', '\xff'],
    ['%00%7f%80%fF', '\x00\x7f\x80\xff'],
    ['%2F%252f', '/%2f'],
    ['a%41', 'aA'],
    ['%41a', 'Aa'],
    ['%aA%Ff%09%90', '\xaa\xff\x09\x90'],
  ])('%j is decoded', (text, expected) => {
    expect(latin1(percentDecode(text))).toBe(expected)
  })

  test('every escape is its byte, in both cases, and what is none is refused with it', () => {
    for (let byte = 0; byte < 256; byte++) {
      const hex = byte.toString(16).padStart(2, '0')
      for (const escaped of [`%${hex}`, `%${hex.toUpperCase()}`])
        expect([...percentDecode(escaped)]).toEqual([byte])
    }
    for (let code = 0; code < 256; code++) {
      const character = String.fromCharCode(code)
      const isHex = /[0-9a-fA-F]/.test(character)
      for (const escaped of [`%${character}0`, `%0${character}`])
        expect([escaped, codeOf(() => percentDecode(escaped).length)]).toEqual([
          escaped,
          isHex ? 1 : 'bad_request',
        ])
    }
    for (const cut of ['%', '%4', 'a%', 'a%4']) expect(codeOf(() => percentDecode(cut))).toBe('bad_request')
    expect(() => percentDecode('ab%4xcd')).toThrow('"%4x"')
  })

  test('a plus is a space in a query alone', () => {
    expect(latin1(queryDecode('a+b%2B+'))).toBe('a b+ ')
  })
})

describe('what is asked for', () => {
  test.each([
    ['GET', '/v1/kv/a', 'get', ['a'], []],
    ['HEAD', '/v1/kv/a%2f/?x&y=1', 'get', ['a%2f/'], ['x', 'y=1']],
    ['PUT', '/v1/kv/', 'put', [''], []],
    ['DELETE', '/v1/kv/a+b', 'delete', ['a+b'], []],
    ['POST', '/v1/kv/a', 'other', ['a'], []],
    ['GET', '/v1/kv/a?key=b', 'get', ['a'], ['key=b']],
    ['GET', '/v1/kv', 'range', [], []],
    ['HEAD', '/v1/kv?limit=1', 'range', [], ['limit=1']],
    ['PUT', '/v1/kv?prev', 'put', [], ['prev']],
    ['DELETE', '/v1/kv', 'delete', [], []],
    ['PATCH', '/v1/kv', 'other', [], []],
    ['GET', '/v1/kv?key', 'get', [''], []],
    ['GET', '/v1/kv?x&key=a+b%20=&y', 'get', ['a b%20='], ['x', 'y']],
    ['GET', '/v1/kv?key=+a++b%2B', 'get', [' a  b%2B'], []],
    ['PUT', '/v1/kv?%6Be%79=a&k%65y=b&%6bey=c', 'put', ['a', 'b', 'c'], []],
    ['GET', '/v1/kv?keys=a', 'range', [], ['keys=a']],
    ['GET', '/v1/kvx', 'other', undefined, []],
    ['PUT', '/v1/cluster?key=a', 'other', undefined, ['key=a']],
    ['POST', '/v1/changes?timeout=1s', 'batch', undefined, ['timeout=1s']],
    ['PUT', '/v1/changes', 'other', undefined, []],
    ['POST', '/v1/changes/', 'other', undefined, []],
  ])('%s %s', (method, target, operation, keys, pairs) => {
    expect(parseTarget(method, target)).toMatchObject({ operation, keys, pairs })
  })
})

describe('parameters', () => {
  const TABLE = {
    raw: bytes('x'),
    on: flag('x'),
    count: integer('x', 3, 500),
    order: choiceParameter('x', 'asc', 'desc'),
  }

  test.each([
    ['', {}],
    ['&&', {}],
    ['raw', { raw: '' }],
    ['raw=', { raw: '' }],
    ['raw==', { raw: '=' }],
    ['raw=a=b&on', { raw: 'a=b', on: true }],
    ['r%61w=%61+', { raw: 'a ' }],
    ['on=true', { on: true }],
    ['on=', { on: true }],
    ['on=false', { on: false }],
    ['count=3', { count: 3 }],
    ['count=500', { count: 500 }],
    ['count=0000000000000500', { count: 500 }],
    ['order=asc', { order: 'asc' }],
    ['order=desc', { order: 'desc' }],
    ['on=1', 'bad_request'],
    ['on=TRUE', 'bad_request'],
    ['count=2', 'bad_request'],
    ['count=501', 'bad_request'],
    ['count=', 'bad_request'],
    ['count=-3', 'bad_request'],
    ['count=3.0', 'bad_request'],
    ['count=x3', 'bad_request'],
    ['count=3x', 'bad_request'],
    ['count=00000000000000500', 'bad_request'],
    ['order=', 'bad_request'],
    ['order=ASC', 'bad_request'],
    ['on&on', 'bad_request'],
    ['on=false&o%6e', 'bad_request'],
    ['raw=%4', 'bad_request'],
    ['what', 'unknown_parameter'],
    ['Raw=', 'unknown_parameter'],
    ['toString=', 'unknown_parameter'],
    ['=raw', 'unknown_parameter'],
    ['on&what&on', 'unknown_parameter'],
  ])('%s', (query, expected) => {
    const read = codeOf(() => {
      const { raw, ...values } = readQuery(query.split('&'), TABLE)
      return raw === undefined ? values : { ...values, raw: latin1(raw) }
    })
    expect(read).toEqual(expected)
  })

  test('what is refused is named, with what it must be', () => {
    expect(() => readQuery(['count=1'], TABLE)).toThrow('count must be a whole number from 3 to 500')
    expect(() => readQuery(['order=x'], TABLE)).toThrow('order must be one of asc, desc')
    expect(() => readQuery(['on=x'], TABLE)).toThrow('on must be true or false')
  })

  test.each([
    ['timeout=1ms', 1],
    ['timeout=1.5s', 1500],
    ['timeout=0.000001m', 0.06],
    ['timeout=1m', 60_000],
    ['timeout=000000000001s', 1000],
    ['timeout=0.01h', 36_000],
    ['timeout=0s', 'bad_request'],
    ['timeout=', 'bad_request'],
    ['timeout=5', 'bad_request'],
    ['timeout=s', 'bad_request'],
    ['timeout=1.s', 'bad_request'],
    ['timeout=.5s', 'bad_request'],
    ['timeout=1d', 'bad_request'],
    ['timeout=x1s', 'bad_request'],
    ['timeout=1sx', 'bad_request'],
    ['timeout=60.001s', 'bad_request'],
    ['timeout=0000000000001s', 'bad_request'],
    ['timeout=1.0000001s', 'bad_request'],
  ])('%s', (query, expected) => {
    expect(codeOf(() => takeTimeout([query]).timeoutMs)).toBe(expected)
  })

  test('a timeout that is none is refused with what it must be', () => {
    expect(() => takeTimeout(['timeout=x'])).toThrow('timeout must be a duration above 0 and up to 60s')
  })

  test('the timeout is taken from among whatever else is given; another one is refused', () => {
    expect(takeTimeout([])).toEqual({ timeoutMs: 5000, others: [] })
    expect(takeTimeout(['what', '', '%74imeout=7ms', 'on'])).toEqual({
      timeoutMs: 7,
      others: ['what', '', 'on'],
    })
    const { timeoutMs, others } = takeTimeout(['on', 'timeout=7ms', 'timeout=9ms'])
    expect([timeoutMs, others]).toEqual([7, ['on', 'timeout=9ms']])
    expect(() => readQuery(others, TABLE)).toThrow('timeout is given twice')
  })
})

describe('conditions', () => {
  test.each([
    ['*', 'any', 'any'],
    [' * ', 'any', 'any'],
    ['"7"', [7], [7]],
    ['W/"7"', [], [7]],
    ['"7", W/"8" ,"9"', [7, 9], [7, 8, 9]],
    [',"7",,', [7], [7]],
    ['\t"7"\t,\t"8"', [7, 8], [7, 8]],
    ['"7","x","07","0","-1","1e3","9007199254740991"', [7, 0, 9007199254740991], [7, 0, 9007199254740991]],
    ['"9007199254740992"', [], []],
    ['"10000000000000000"', [], []],
    ['"a,b","7"', [7], [7]],
    ['"\x80\xff!#~"', [], []],
    ['""', [], []],
    ['', 'bad_request', 'bad_request'],
    [',', 'bad_request', 'bad_request'],
    ['7', 'bad_request', 'bad_request'],
    ['"7', 'bad_request', 'bad_request'],
    ['7"', 'bad_request', 'bad_request'],
    ['"7" "8"', 'bad_request', 'bad_request'],
    ['"7"x', 'bad_request', 'bad_request'],
    ['x"7"', 'bad_request', 'bad_request'],
    ['w/"7"', 'bad_request', 'bad_request'],
    ['W/ "7"', 'bad_request', 'bad_request'],
    ['"a b"', 'bad_request', 'bad_request'],
    ['"a\x7f"', 'bad_request', 'bad_request'],
    ['"7", *', 'bad_request', 'bad_request'],
  ])('%j', (text, strong, weak) => {
    const read = (name: string) => codeOf(() => readConditions({ [name]: text }))
    expect(read('if-match')).toEqual(
      strong === 'bad_request' ? strong : { ifMatch: strong, ifNoneMatch: undefined },
    )
    expect(read('if-none-match')).toEqual(
      weak === 'bad_request' ? weak : { ifMatch: undefined, ifNoneMatch: weak },
    )
  })

  test('both count, and none is no condition', () => {
    expect(readConditions({})).toBeUndefined()
    expect(readConditions({ 'if-match': '"1"', 'if-none-match': '*' })).toEqual({
      ifMatch: [1],
      ifNoneMatch: 'any',
    })
    expect(() => readConditions({ 'if-match': 'x' })).toThrow('If-Match must be')
    expect(() => readConditions({ 'if-none-match': 'x' })).toThrow('If-None-Match must be')
  })
})

describe('Idempotency-Key', () => {
  test.each([
    ['t', { token: 't', since: undefined }],
    ['"t"', { token: 't', since: undefined }],
    ['"a;b"', { token: 'a;b', since: undefined }],
    ['a;b', { token: 'a;b', since: undefined }],
    ['t;since=7', { token: 't', since: 7 }],
    ['t; \tsince=7', { token: 't', since: 7 }],
    ['t ;since=7', { token: 't', since: 7 }],
    ['"t";since=9007199254740991', { token: 't', since: 9007199254740991 }],
    ['t;since=1;since=2', { token: 't;since=1', since: 2 }],
    ['x'.repeat(255), { token: 'x'.repeat(255), since: undefined }],
    ['!~', { token: '!~', since: undefined }],
    ['x'.repeat(256), 'bad_request'],
    ['', 'bad_request'],
    ['""', 'bad_request'],
    ['"', 'bad_request'],
    ['"t', 'bad_request'],
    ['"token', 'bad_request'],
    ['"token"x', 'bad_request'],
    ['a b', 'bad_request'],
    ['a\x7f', 'bad_request'],
    [';since=7', 'bad_request'],
    ['t;since=', 'bad_request'],
    ['t;since=0', 'bad_request'],
    ['t;since=07', 'bad_request'],
    ['t;since=x7', 'bad_request'],
    ['t;since=7x', 'bad_request'],
    ['t;since=1e3', 'bad_request'],
    ['t;since=9007199254740992', 'bad_request'],
    ['t;since=10000000000000000', 'bad_request'],
  ])('%j', (header, expected) => {
    expect(codeOf(() => readIdempotencyKey(header))).toEqual(expected)
  })

  test('may be left out, and not be given twice', () => {
    expect(readIdempotencyKey(undefined)).toBeUndefined()
    expect(codeOf(() => readIdempotencyKey(['a', 'b']))).toBe('bad_request')
  })
})

test.each([
  [undefined, false],
  ['', false],
  ['application/json', true],
  ['APPLICATION/json', true],
  ['text/html, application/json', true],
  ['application/json;q=0.5', true],
  ['application/json ; q=0.001', true],
  ['application/json;q=0', false],
  ['application/json; q=0.000', false],
  ['application/json;q=0;x', false],
  ['application/json;q=0.0000', true],
  ['application/json;xq=0', true],
  ['application/json-seq', false],
  ['xapplication/json', false],
  ['*/*', false],
  ['application/*', false],
  ['application/json;q=0, application/json', true],
])('Accept: %s names JSON: %s', (accept, expected) => {
  expect(namesMediaType(accept, 'application/json')).toBe(expected)
})

describe('a plain request', () => {
  const read = (text: string, headBytesMax = 64 * 1024) =>
    new RawParser(headBytesMax).read(Buffer.from(text, 'latin1'))
  const GET = 'GET /v1/kv/a HTTP/1.1\r\nHost: h\r\n\r\n'

  test('is taken apart', () => {
    const put = 'PUT /v1/kv/a%20?prev HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-A:b c\r\n\r\nabcGET'
    expect(read(put)).toEqual({
      ...{ method: 'PUT', url: '/v1/kv/a%20?prev', httpVersion: '1.1', hosts: 1, bytes: put.length - 3 },
      headers: { host: 'h', 'content-length': '3', 'x-a': 'b c' },
      body: Buffer.from('abc'),
    })
    for (const method of ['GET', 'HEAD', 'DELETE'])
      expect(read(GET.replace('GET', method))).toMatchObject({
        method,
        headers: { host: 'h' },
        body: Buffer.alloc(0),
      })
    expect(read('GET /v1/kv/ HTTP/1.1\r\n\r\n')).toMatchObject({ url: '/v1/kv/', headers: {} })
    // As the client writes a key that begins with a slash.
    const inQuery = '/v1/kv?key=%2Fa&timeout=1s'
    expect(read(GET.replace('/v1/kv/a', inQuery))).toMatchObject({ url: inQuery })
    // A client reads the cluster on the connection of its changes, which must not leave this reader for it.
    for (const cluster of ['/v1/cluster', '/v1/cluster?timeout=5000ms'])
      expect(read(GET.replace('/v1/kv/a', cluster))).toMatchObject({ url: cluster })
    expect(read(GET.replace('Host', 'connection: Keep-Alive\r\nHost'))).toMatchObject({ url: '/v1/kv/a' })
  })

  test('is incomplete up to its last byte', () => {
    const put = 'PUT /v1/kv/a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc'
    for (let length = 0; length < put.length; length++) expect(read(put.slice(0, length))).toBe('incomplete')
  })

  test.each([
    ['another method', GET.replace('GET', 'POST')],
    ['a method in lower case', GET.replace('GET', 'get')],
    ['no key', GET.replace('/v1/kv/a', '/v1/kv?prefix=a')],
    ['a key behind another parameter', GET.replace('/v1/kv/a', '/v1/kv?timeout=1s&key=a')],
    ['another path', GET.replace('/v1/kv/a', '/x/v1/kv/a')],
    ['a path within that of the cluster', GET.replace('/v1/kv/a', '/v1/cluster/members')],
    ['a space in the target', GET.replace('/a', '/a b')],
    ['a byte that is not ASCII in the target', GET.replace('/a', '/\x80')],
    ['HTTP/1.0', GET.replace('1.1', '1.0')],
    ['something behind the version', GET.replace('1.1', '1.1 ')],
    ['two spaces before the target', GET.replace('GET ', 'GET  ')],
    ['no target', 'GET\r\n\r\n'],
    ['nothing but line ends', '\r\n\r\n'],
    ['a space before a colon', GET.replace('Host:', 'Host :')],
    ['two spaces behind a colon', GET.replace(': h', ':  h')],
    ['a tab behind a colon', GET.replace(': h', ':\th')],
    ['a space behind a value', GET.replace(': h', ': h ')],
    ['an empty value', GET.replace(': h', ':')],
    ['a line that is folded', GET.replace(': h', ': h\r\n x')],
    ['a value that is not ASCII', GET.replace(': h', ': \xe9')],
    ['a name with an underscore', GET.replace('Host', 'Ho_st')],
    ['a bare line feed', GET.replace(': h', ': h\nX: y')],
    ['a header twice', GET.replace('Host', 'X: y\r\nx: z\r\nHost')],
    ['Connection: close', GET.replace('Host', 'Connection: close\r\nHost')],
    ['Transfer-Encoding', GET.replace('Host', 'Transfer-Encoding: chunked\r\nHost')],
    ['Trailer', GET.replace('Host', 'Trailer: x\r\nHost')],
    ['Expect', GET.replace('Host', 'Expect: 100-continue\r\nHost')],
    ['Upgrade', GET.replace('Host', 'Upgrade: x\r\nHost')],
    ['Proxy-Connection', GET.replace('Host', 'Proxy-Connection: x\r\nHost')],
    ['a length that is no number', GET.replace('Host', 'Content-Length: x\r\nHost')],
    ['a length with a sign', GET.replace('Host', 'Content-Length: +1\r\nHost')],
    ['a length of seven digits', GET.replace('Host', 'Content-Length: 0000001\r\nHost')],
    ['a body that is too long', GET.replace('Host', `Content-Length: ${BODY_BYTES_MAX + 1}\r\nHost`)],
  ])('%s is uncommon', (_, text) => {
    expect(read(text)).toBe('uncommon')
  })

  test('a body and a head may be as long as that, and no longer', () => {
    expect(read(GET.replace('Host', `Content-Length: ${BODY_BYTES_MAX}\r\nHost`))).toBe('incomplete')
    const ofHead = (bytes: number): string => `GET /v1/kv/${'a'.repeat(bytes - 20)} HTTP/1.1\r\n\r\n`
    for (const [max, allowed] of [
      [HEAD_BYTES_MAX, undefined],
      [100, 100],
    ] as const) {
      expect(read(ofHead(max), allowed)).toMatchObject({ method: 'GET', bytes: max + 4 })
      expect(read(ofHead(max + 1), allowed)).toBe('uncommon')
      expect(read(ofHead(max).slice(0, max), allowed)).toBe('incomplete')
      expect(read('x'.repeat(max), allowed)).toBe('incomplete')
      expect(read('x'.repeat(max + 1), allowed)).toBe('uncommon')
    }
  })

  test('the fields of the last request are known again, and others are read', () => {
    const requests = new RawParser(64 * 1024)
    const of = (text: string) => {
      const request = requests.read(Buffer.from(text))
      return typeof request === 'string' ? request : [request.headers, latin1(request.body)]
    }
    const put = (name: string, body: string) =>
      `PUT /v1/kv/a HTTP/1.1\r\n${name}: x\r\nContent-Length: ${body.length}\r\n\r\n${body}`
    for (const [name, body] of [
      ['a', '12'],
      ['a', '34'],
      ['b', '56'],
      ['b', '789'],
      ['a', '12'],
    ] as const)
      expect(of(put(name, body))).toEqual([{ [name]: 'x', 'content-length': String(body.length) }, body])
    expect(of('GET /v1/kv/a HTTP/1.1\r\n\r\n')).toEqual([{}, ''])
  })
})
