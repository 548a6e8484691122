import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { QMeshError } from '../../../protocol/index.ts'
import {
  ackFormat,
  cardFormat,
  checkReceipt,
  decodeEntry,
  decodeProof,
  encodeEntry,
  encodeProof,
  headFormat,
  isCardValid,
  isHeadValid,
  isStatementValid,
  offerFormat,
  receiptFormat,
  resultFormat,
  scoreStatementFormat,
} from '../../../protocol/trust/index.ts'
import {
  client,
  networkId,
  sampleAck,
  sampleCard,
  sampleHead,
  sampleReceipt,
  sampleStatement,
  worker,
} from './samples.ts'

const receipt = sampleReceipt()
const { offer, result } = receipt
const formats = {
  card: { bytes: cardFormat.encode(sampleCard()), decode: cardFormat.decode, encode: cardFormat.encode },
  offer: { bytes: offerFormat.encode(offer), decode: offerFormat.decode, encode: offerFormat.encode },
  result: { bytes: resultFormat.encode(result), decode: resultFormat.decode, encode: resultFormat.encode },
  ack: {
    bytes: ackFormat.encode(sampleAck(offer, result)),
    decode: ackFormat.decode,
    encode: ackFormat.encode,
  },
  head: { bytes: headFormat.encode(sampleHead()), decode: headFormat.decode, encode: headFormat.encode },
  statement: {
    bytes: scoreStatementFormat.encode(sampleStatement()),
    decode: scoreStatementFormat.decode,
    encode: scoreStatementFormat.encode,
  },
  receipt: {
    bytes: receiptFormat.encode(receipt),
    decode: receiptFormat.decode,
    encode: receiptFormat.encode,
  },
  entry: {
    bytes: encodeEntry({ type: 'receipt', epoch: 1_002, receipt }),
    decode: decodeEntry,
    encode: encodeEntry,
  },
  proof: {
    bytes: encodeProof({ kind: 'fork', a: sampleHead(), b: sampleHead({ treeHash: '0c'.repeat(32) }) }),
    decode: decodeProof,
    encode: encodeProof,
  },
} as unknown as Record<
  string,
  { bytes: Buffer; decode: (bytes: Uint8Array) => unknown; encode: (value: unknown) => Buffer }
>

/** Whether what was decoded is still good evidence in every way. */
const isSound: Readonly<Record<string, (value: never) => boolean>> = {
  card: (card) => isCardValid(card, networkId),
  offer: (value) => offerFormat.isSigned(value, client.id, networkId),
  result: (value) => resultFormat.isSigned(value, worker.id, networkId),
  ack: (value) => ackFormat.isSigned(value, client.id, networkId),
  head: (value) => isHeadValid(value, networkId),
  statement: (value) => isStatementValid(value, networkId),
  receipt: (value) => checkReceipt(value, networkId) === undefined,
}

describe.each(Object.keys(formats))('the encoding of a %s', (name) => {
  const { bytes, decode, encode } = formats[name] ?? {
    bytes: Buffer.alloc(0),
    decode: () => {},
    encode: () => Buffer.alloc(0),
  }

  it('comes back as it was, from the same bytes', () => {
    expect(encode(decode(bytes))).toEqual(bytes)
  })

  it('has one form only: whatever can be read is written in the very same way', () => {
    fc.assert(
      fc.property(mutationOf(bytes), (changed) => {
        let value: unknown
        try {
          value = decode(changed)
        } catch (error) {
          expect(error).toBeInstanceOf(QMeshError)
          expect(error).toMatchObject({ code: 'QM_EVIDENCE_INVALID' })
          return
        }
        // An entry of a later version cannot be written by this one.
        if (typeof value === 'object' && value !== null && 'type' in value && value.type === 'unknown') return
        expect(encode(value)).toEqual(changed)
      }),
    )
  })

  it('is refused when it is cut short or when something follows it', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decode(bytes.subarray(0, length)), `${length} bytes`).toThrow(QMeshError)
    }
    expect(() => decode(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(QMeshError)
  })
})

describe.each(Object.keys(isSound))('a signed %s', (name) => {
  const { bytes, decode } = formats[name] ?? { bytes: Buffer.alloc(0), decode: () => {} }

  it('is refused when any one bit of it is another', () => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const changed = Buffer.from(bytes)
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      expect(isGood(name, changed, decode), `bit ${bit}`).toBe(false)
    }
    expect(isGood(name, bytes, decode)).toBe(true)
  })
})

function isGood(name: string, bytes: Buffer, decode: (bytes: Uint8Array) => unknown): boolean {
  try {
    return isSound[name]?.(decode(bytes) as never) ?? false
  } catch (error) {
    expect(error).toMatchObject({ code: 'QM_EVIDENCE_INVALID' })
    return false
  }
}

/** Bytes a few of which were changed, taken out or put in. */
const mutationOf = (bytes: Buffer): fc.Arbitrary<Buffer> =>
  fc
    .array(
      fc.record({
        at: fc.nat(bytes.length),
        drop: fc.nat(3),
        put: fc.uint8Array({ maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 3 },
    )
    .map((edits) =>
      edits.reduce(
        (changed, { at, drop, put }) =>
          Buffer.concat([changed.subarray(0, at), Buffer.from(put), changed.subarray(at + drop)]),
        bytes,
      ),
    )
