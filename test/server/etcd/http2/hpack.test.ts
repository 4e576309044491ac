// The decoder of header fields: the examples of RFC 7541, appendix C, and what is no header block.

import { describe, expect, test } from 'vitest'
import { encodeFields, HpackDecoder, HpackError } from '../../../../src/server/etcd/http2/hpack.ts'
import { encodeHuffman } from './huffman-codes.ts'

type Field = readonly [name: string, value: string]

function decode(decoder: HpackDecoder, block: Uint8Array): Field[] {
  const fields: Field[] = []
  decoder.decode(block, ({ name, value }) => fields.push([name, value]))
  return fields
}

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')
const decodeAlone = (block: string): Field[] => decode(new HpackDecoder(), hex(block))

const GET: Field = [':method', 'GET']
const AUTHORITY: Field = [':authority', 'www.example.com']
const CUSTOM: Field = ['custom-key', 'custom-value']

describe('RFC 7541, C.2', () => {
  test.each([
    [
      'C.2.1',
      '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
      'custom-key',
      'custom-header',
    ],
    ['C.2.2', '040c 2f73 616d 706c 652f 7061 7468', ':path', '/sample/path'],
    ['C.2.3', '1008 7061 7373 776f 7264 0673 6563 7265 74', 'password', 'secret'],
    ['C.2.4', '82', ':method', 'GET'],
  ])('%s', (_, block, name, value) => expect(decodeAlone(block)).toEqual([[name, value]]))
})

describe.each([
  [
    'C.3, without Huffman code',
    [
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ],
  ],
  [
    'C.4, with Huffman code',
    [
      '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
      '8286 84be 5886 a8eb 1064 9cbf',
      '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
    ],
  ],
])('RFC 7541, %s', (_, blocks) => {
  test('requests', () => {
    const decoder = new HpackDecoder()
    expect(blocks.map((block) => decode(decoder, hex(block)))).toEqual([
      [GET, [':scheme', 'http'], [':path', '/'], AUTHORITY],
      [GET, [':scheme', 'http'], [':path', '/'], AUTHORITY, ['cache-control', 'no-cache']],
      [GET, [':scheme', 'https'], [':path', '/index.html'], AUTHORITY, CUSTOM],
    ])
  })
})

/** The table has 256 bytes. */
const SIZE_256 = '3fe101'

describe.each([
  [
    'C.5, without Huffman code',
    [
      '4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '4803 3330 37c1 c0bf',
      '88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31',
    ],
  ],
  [
    'C.6, with Huffman code',
    [
      '4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3',
      '4883 640e ffc1 c0bf',
      '88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07',
    ],
  ],
])('RFC 7541, %s', (_, blocks) => {
  test('responses, with entries that leave the table', () => {
    const decoder = new HpackDecoder()
    const [first = '', ...rest] = blocks
    const dates = ['Mon, 21 Oct 2013 20:13:21 GMT', 'Mon, 21 Oct 2013 20:13:22 GMT']
    const location: Field = ['location', 'https://www.example.com']
    const cookie = 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
    expect([SIZE_256 + first, ...rest].map((block) => decode(decoder, hex(block)))).toEqual([
      [[':status', '302'], ['cache-control', 'private'], ['date', dates[0]], location],
      [[':status', '307'], ['cache-control', 'private'], ['date', dates[0]], location],
      [
        [':status', '200'],
        ['cache-control', 'private'],
        ['date', dates[1]],
        location,
        ['content-encoding', 'gzip'],
        ['set-cookie', cookie],
      ],
    ])
  })
})

/** RFC 7541, appendix A. */
const STATIC_TABLE = `
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204
:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate
accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control
content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type
cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since
last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after
server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`

test('the static table is that of RFC 7541, appendix A', () => {
  const table = STATIC_TABLE.trim().split(/[|\n]/)
  expect(table).toHaveLength(61)
  for (const [at, entry] of table.entries()) {
    const [name = '', ...value] = entry.split(' ')
    expect(decode(new HpackDecoder(), Buffer.of(0x80 + at + 1))).toEqual([[name, value.join(' ')]])
  }
})

test('every octet has its Huffman code', () => {
  const octets = Buffer.from(Array.from({ length: 256 }, (_, at) => at))
  const code = encodeHuffman(octets)
  const length = Buffer.of(0xff, ((code.length - 127) & 0x7f) | 0x80, (code.length - 127) >> 7)
  const block = Buffer.concat([hex('00 01 61'), length, code])
  expect(decode(new HpackDecoder(), block)).toEqual([['a', octets.toString('latin1')]])
})

const withValue = (code: Uint8Array): Buffer =>
  Buffer.concat([hex('00 01 61'), Buffer.of(0x80 | code.length), code])

describe('no header block', () => {
  test.each([
    ['index 0', '80'],
    ['an index behind both tables', 'be'],
    ['a name behind both tables', '7f00 0161'],
    ['an integer without an end', 'ff'],
    ['an integer with too many bytes', 'ff80 8080 8080 00'],
    ['an integer that would be huge', 'ffff ffff ffff ffff ff7f'],
    ['a text that is longer than its block', '0005 61'],
    ['a name without a value', '0001 61'],
    ['a text whose length is missing', '00'],
    ['a table that is larger than allowed', '3fe2 1f'],
    ['a size of the table after a field', '8220'],
  ])('%s', (_, block) => expect(() => decodeAlone(block)).toThrow(HpackError))

  test.each([
    ['eight bits of padding', encodeHuffman(Buffer.from('aaaaaaaa'), '11111111')],
    ['padding with a zero', encodeHuffman(Buffer.from('a'), '110')],
    ['the symbol of the end', encodeHuffman(Buffer.from(''), `${'1'.repeat(30)}11`)],
    ['the symbol of the end in the middle of a byte', encodeHuffman(Buffer.from('A'), '1'.repeat(34))],
  ])('a Huffman code with %s', (_, code) => {
    expect(() => decode(new HpackDecoder(), withValue(code))).toThrow(HpackError)
  })
})

describe('the table', () => {
  const kept = hex('4001 6101 62')

  test('of 4,096 bytes is the largest', () => {
    expect(decodeAlone('3fe1 1f82')).toEqual([GET])
  })

  test('is empty after a size of 0, and may grow again', () => {
    const decoder = new HpackDecoder()
    decode(decoder, kept)
    expect(decode(decoder, hex('be'))).toEqual([['a', 'b']])
    decode(decoder, hex('20 3fe11f'))
    expect(() => decode(decoder, hex('be'))).toThrow(HpackError)
    const other = new HpackDecoder()
    decode(other, Buffer.concat([hex('20 3fe11f'), kept]))
    expect(decode(other, hex('be'))).toEqual([['a', 'b']])
  })

  test('is emptied by an entry that is larger, whose name it may have had', () => {
    const decoder = new HpackDecoder()
    decode(decoder, Buffer.concat([hex('3f0b'), kept]))
    // 42 bytes: the entry of 34 has room.
    expect(decode(decoder, hex('be'))).toEqual([['a', 'b']])
    expect(decode(decoder, hex(`7e0a ${'63'.repeat(10)}`))).toEqual([['a', 'c'.repeat(10)]])
    expect(() => decode(decoder, hex('be'))).toThrow(HpackError)
  })

  test('drops its oldest entries', () => {
    const decoder = new HpackDecoder()
    // Each entry has 36 bytes: 113 fit.
    for (let n = 0; n < 200; n++)
      decode(decoder, Buffer.concat([hex('4002 6161 02'), Buffer.from(String(n).padStart(2, '0').slice(-2))]))
    expect(decode(decoder, hex('be'))).toEqual([['aa', '99']])
    expect(decode(decoder, hex('ff2f'))).toEqual([['aa', '87']])
    expect(() => decode(decoder, hex('ff30'))).toThrow(HpackError)
  })
})

test('what is encoded is decoded', () => {
  const fields = {
    ':status': '200',
    empty: '',
    short: 'x'.repeat(126),
    long: 'y'.repeat(127),
    longer: 'z'.repeat(70_000),
  }
  expect(decode(new HpackDecoder(), encodeFields(fields).bytes)).toEqual(Object.entries(fields))
})
