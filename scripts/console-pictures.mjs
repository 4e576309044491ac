// Makes the pictures of the console in docs/pictures/: starts a cluster with example data, and drives Chromium. Needs
// Chromium at /usr/bin/chromium, or where QUORATE_CHROMIUM says.
//
//   npm run pictures:web             each page, light and dark, and the faults with a cut link
//   npm run pictures:web -- --film   the film at the beginning of README.md
//   npm run pictures:web -- keys     these pages only
//
// sharp (libvips) reduces the colours of a picture, and encodes the film.

import { join } from 'node:path'
import { CONSOLE_FILM } from './console/console-film.mjs'
import { startExampleCluster } from './console/example-cluster.mjs'
import { recordFilm } from './console/film.mjs'
import { launchChromium, PICTURES, savePicture } from './console/pictures.mjs'

const PORT = 7601
const WIDTH = 1280
const HEIGHT = 800
/** The time in which the charts get their first points. */
const CHART_MS = 30_000

/** A transaction that sends an order, unless somebody has changed it. */
const SHIPMENT = {
  compare: [{ key: 'orders/2026/0024', target: 'version', op: '=', to: 1 }],
  success: [
    { put: { key: 'orders/2026/0024', value: '{"customer":"c88","total":300,"state":"sent"}', prev: true } },
    { put: { key: 'shipments/0024', value: 'Bern' } },
  ],
  failure: [{ get: { key: 'orders/2026/0024' } }],
}

/** The pictures: the place that each shows, what is done there before, and its height. */
const SHOWN = {
  overview: { place: '#/overview', delayMs: CHART_MS },
  keys: {
    place: '#/keys/config/shop/limits?tab=history',
    act: (page) => page.getByRole('button', { name: 'Put this version back' }).first().waitFor(),
  },
  transaction: {
    place: `#/transaction?text=${encodeURIComponent(JSON.stringify(SHIPMENT, null, 2))}`,
    height: 960,
    act: async (page) => {
      await page.getByRole('button', { name: 'Run', exact: true }).click()
      await page.getByText('Written at revision').waitFor()
    },
  },
  live: {
    place: '#/live?prefix=stock/',
  },
  coordination: { place: '#/coordination/locks/deploy' },
  queues: { place: '#/coordination/queues/mail' },
  operation: { place: '#/operation/members' },
  users: { place: '#/operation/users' },
  faults: {
    place: '#/faults',
    height: 900,
    before: (cluster) => cluster('heal'),
    act: async (page) => {
      await page.getByRole('button', { name: 'open: from n1 to n2. Cut it' }).click()
      await page.getByRole('button', { name: 'cut: from n1 to n2. Join it' }).waitFor()
    },
    delayMs: CHART_MS,
  },
}

const chosen = process.argv.slice(2)
const isFilm = chosen.includes('--film')
const { address, cluster, close } = await startExampleCluster(PORT)
let browser
try {
  browser = await launchChromium()
  if (isFilm)
    console.log(
      `console.webp: ${await recordFilm(browser, address, join(PICTURES, 'console.webp'), CONSOLE_FILM)}`,
    )
  else
    for (const [name, shown] of Object.entries(SHOWN))
      if (chosen.length === 0 || chosen.includes(name)) await takePictures(name, shown)
} finally {
  await browser?.close()
  await close()
}

async function takePictures(name, { place, act, before, height = HEIGHT, delayMs = 2_000 }) {
  await before?.(cluster)
  const page = await browser.newPage({ viewport: { width: WIDTH, height }, reducedMotion: 'reduce' })
  try {
    await page.goto(address)
    await page.getByRole('navigation', { name: 'Pages' }).waitFor()
    await page.evaluate((to) => location.assign(to), place)
    await page.waitForTimeout(500)
    if ((await page.getByRole('heading', { name: 'There is no such page' }).count()) > 0) {
      console.log(`${name}: this console has no such page; left out`)
      return
    }
    await act?.(page)
    await page.waitForTimeout(delayMs)
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.waitForTimeout(1_000)
      await savePicture(`console-${name}-${colorScheme}.png`, await page.screenshot())
    }
  } finally {
    await page.close()
  }
}
