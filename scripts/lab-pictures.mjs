// Makes the pictures of the lab in docs/pictures/: serves the lab, and drives Chromium. Needs Chromium at
// /usr/bin/chromium, or where QUORATE_CHROMIUM says.
//
//   npm run pictures:lab             each picture, light and dark
//   npm run pictures:lab -- --film    the film in README.md
//   npm run pictures:lab -- diagram   these pictures only
//
// sharp (libvips) reduces the colours of a picture, and encodes the film.

import { join } from 'node:path'
import { recordFilm } from './console/film.mjs'
import { LAB_FILM } from './console/lab-film.mjs'
import { startLab } from './console/lab-server.mjs'
import { launchChromium, PICTURES, savePicture } from './console/pictures.mjs'

const PORT = 7640
const WIDTH = 1280
const CUT = 'stalls=false,refuses=false,breaks=false'

/** The runs, and what is done there before. */
const SHOWN = {
  partition: {
    run: `seed=1,at=3430;1631:put,client=0,node=leader,key=0,x=41;1932:isolate,target=leader,ms=5000,${CUT};2500:put,client=1,node=0,key=1,x=41`,
    height: 960,
  },
  'figure-8': {
    file: 'docs/learn/lessons/runs/commit-of-earlier-term.txt',
    act: async (page) => {
      await page.getByRole('button', { name: 'Check' }).click()
      await page.getByRole('button', { name: 'Go to the step where it breaks' }).click()
      await page.getByRole('button', { name: 'Play' }).click()
      await page.getByText('A rule is broken').waitFor()
    },
    height: 1000,
  },
  diagram: {
    run: `seed=1,at=1800;1631:put,client=0,node=leader,key=0,x=41`,
    height: 800,
    act: async (page) => {
      const diagram = page.locator('summary', { hasText: 'Space and time' })
      await diagram.click()
      await diagram.evaluate((element) => element.scrollIntoView())
    },
  },
}

const chosen = process.argv.slice(2)
const lab = await startLab(PORT)
let browser
try {
  browser = await launchChromium()
  if (chosen.includes('--film'))
    console.log(
      `lab.webp: ${await recordFilm(browser, `${lab.address}#${LAB_FILM.run}`, join(PICTURES, 'lab.webp'), LAB_FILM)}`,
    )
  else
    for (const [name, shown] of Object.entries(SHOWN))
      if (chosen.length === 0 || chosen.includes(name)) await takePictures(name, shown)
} finally {
  await browser?.close()
  lab.close()
}

async function takePictures(name, { run = '', file, act, height }) {
  const page = await browser.newPage({ viewport: { width: WIDTH, height }, reducedMotion: 'reduce' })
  try {
    await page.goto(`${lab.address}#${run}`)
    await page.getByRole('button', { name: 'Play' }).waitFor()
    if (file !== undefined) await page.getByLabel('File of a run').setInputFiles(file)
    await page.waitForTimeout(4_000)
    await act?.(page)
    await page.waitForTimeout(2_000)
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await page.waitForTimeout(1_000)
      await savePicture(`lab-${name}-${colorScheme}.png`, await page.screenshot())
    }
  } finally {
    await page.close()
  }
}
