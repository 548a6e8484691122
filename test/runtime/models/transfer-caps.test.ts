import { expect, it } from 'vitest'
import { configFromOptions } from '../../../runtime/config/index.ts'
import { toTransferCaps, transferCapKeys } from '../../../runtime/models/transfer-caps.ts'

it('caps of the configuration are in megabytes, those of a transfer in bytes', () => {
  const id = 'ab'.repeat(32)
  const config = configFromOptions({
    modelsSeed: false,
    modelsUploadRate: 2.5,
    modelsDownloadRate: 10,
    modelsPeersMax: 3,
    modelsSeeders: [id],
  })
  expect(toTransferCaps(config)).toEqual({
    seeds: false,
    uploadBytesPerSecond: 2_500_000,
    downloadBytesPerSecond: 10_000_000,
    readersMax: 3,
    seeders: new Set([id]),
  })
})

it('without any of them nothing is capped, and models are taken from anybody', () => {
  const config = configFromOptions()
  expect(transferCapKeys.every((key) => key in config)).toBe(true)
  expect(toTransferCaps(config)).toMatchObject({
    seeds: true,
    uploadBytesPerSecond: 0,
    downloadBytesPerSecond: 0,
    seeders: undefined,
  })
})
