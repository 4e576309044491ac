// Links of the page: each place has one, and the link leads to that place, whatever bytes its names have.

import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { runs } from '../runs.ts'
import { stubPage } from './fake-node.ts'
import { load } from './page-modules.ts'

interface Places {
  readPlace(route: object): object
  readonly placeHref?: (place: object) => string
  readonly keysHref?: (place: object) => string
  readonly TABS: readonly string[]
}
stubPage()
let parseRoute: (fragment: string) => object
let coordination: Places
let keys: Places
beforeAll(async () => {
  ;({ parseRoute } = await load<{ parseRoute: typeof parseRoute }>('route.ts'))
  coordination = await load<Places>('pages/coordination/place.ts')
  keys = await load<Places>('pages/keys/key-route.ts')
})

/** Text with what a URL escapes, and bytes that are no text. */
const text = fc.oneof(
  fc.string({
    minLength: 1,
    unit: fc.constantFrom('a', '/', '?', '#', '%', '&', '=', '+', ' ', '.', 'é', '\0', '😀'),
  }),
  fc.constantFrom('.', '..', 'a/', '/a', '%2F', 'hex'),
)
const bytes = fc.oneof(
  text.map((each) => new TextEncoder().encode(each)),
  fc.uint8Array({ minLength: 1, maxLength: 4 }),
)
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

test('each place of coordination', () => {
  const tabs = fc.nat().map((at) => coordination.TABS[at % coordination.TABS.length] ?? '')
  const place = fc.record({
    ...{
      tab: tabs,
      name: optional(bytes),
      recipe: optional(text),
      part: optional(text),
      from: optional(text),
    },
  })
  fc.assert(
    fc.property(place, (each) => {
      const href = coordination.placeHref?.(each) ?? ''
      expect(coordination.readPlace(parseRoute(href)), href).toEqual(each)
    }),
    { numRuns: runs(500) },
  )
})

test('each place of keys', () => {
  const place = fc.record({
    ...{
      key: optional(bytes),
      tab: fc.constantFrom('value', 'history'),
      view: fc.constantFrom('tree', 'list'),
    },
    ...{
      revision: optional(fc.integer({ min: 1, max: 2 ** 53 - 1 })),
      prefix: fc.oneof(text, fc.constant('')),
    },
    after: optional(fc.constantFrom('00', 'ff61')),
  })
  fc.assert(
    fc.property(place, (each) => {
      const href = keys.keysHref?.(each) ?? ''
      expect(keys.readPlace(parseRoute(href)), href).toEqual(each)
    }),
    { numRuns: runs(500) },
  )
})
