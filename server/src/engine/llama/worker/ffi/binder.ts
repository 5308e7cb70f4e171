import type * as koffi from 'koffi';
import type { FieldType, Release, StructName, StructShape } from './releases.js';
import { FfiUnavailable } from './unavailable.js';

/** koffi itself. It is loaded where it is wanted, so that the worker starts without it too. */
export type Koffi = typeof koffi.default;

/** An address in this process. */
export type Pointer = bigint;
/** Fields of a struct that goes by value. */
export type Struct = Readonly<Record<string, unknown>>;
export type Argument = number | bigint | string | boolean | null | ArrayBufferView | Struct;
type Arguments = readonly Argument[];
/** C types of arguments and results: a primitive's name, or a struct of the release. */
export type CType =
  'pointer' | 'int32' | 'uint32' | 'float' | 'bool' | 'size_t' | 'void' | 'text' | StructName;

/** A function that may take long, called on a thread of libuv's pool. */
export type SlowCall<Result> = (...args: Arguments) => Promise<Result>;

/**
 * Binds functions of one shared library. What comes back is checked, so that a function's type here is what it gives.
 *
 * @throws FfiUnavailable where the library lacks a function.
 */
export class Binder {
  readonly #types: Readonly<Record<StructName, koffi.TypeObject>>;
  readonly #library: koffi.LibraryHandle;

  constructor(library: koffi.LibraryHandle, types: Readonly<Record<StructName, koffi.TypeObject>>) {
    this.#library = library;
    this.#types = types;
  }

  number(name: string, result: 'int32' | 'uint32' | 'float' | 'size_t', args: readonly CType[]) {
    const call = this.#bind(name, result, args);
    return (...values: Arguments): number => asNumber(call(...values), name);
  }

  bool(name: string, args: readonly CType[]) {
    const call = this.#bind(name, 'bool', args);
    return (...values: Arguments): boolean => call(...values) === true;
  }

  /** A pointer, or undefined for null. */
  pointer(name: string, args: readonly CType[]) {
    const call = this.#bind(name, 'pointer', args);
    return (...values: Arguments): Pointer | undefined => asPointer(call(...values));
  }

  text(name: string, args: readonly CType[]) {
    const call = this.#bind(name, 'text', args);
    return (...values: Arguments): string | undefined => {
      const value = call(...values);
      return typeof value === 'string' ? value : undefined;
    };
  }

  nothing(name: string, args: readonly CType[]) {
    const call = this.#bind(name, 'void', args);
    return (...values: Arguments): void => {
      call(...values);
    };
  }

  struct(name: string, result: StructName, args: readonly CType[]) {
    const call = this.#bind(name, result, args);
    return (...values: Arguments): Struct => asStruct(call(...values), name);
  }

  slowNumber(name: string, args: readonly CType[]): SlowCall<number> {
    const call = this.#bindSlow(name, 'int32', args);
    return async (...values) => asNumber(await call(...values), name);
  }

  slowPointer(name: string, args: readonly CType[]): SlowCall<Pointer | undefined> {
    const call = this.#bindSlow(name, 'pointer', args);
    return async (...values) => asPointer(await call(...values));
  }

  slowNothing(name: string, args: readonly CType[]): SlowCall<void> {
    const call = this.#bindSlow(name, 'void', args);
    return async (...values) => {
      await call(...values);
    };
  }

  /** The address of an exported function. */
  address(name: string): Pointer {
    const address: unknown = this.#library.symbol(name);
    if (typeof address !== 'bigint') throw new FfiUnavailable(`The function ${name} has no address.`);
    return address;
  }

  #declare(
    name: string,
    result: CType,
    args: readonly CType[],
  ): koffi.LibraryHandle['func'] extends (definition: string) => infer Result ? Result : never {
    try {
      return this.#library.func(
        name,
        this.#typeOf(result),
        args.map((type) => this.#typeOf(type)),
      );
    } catch (error) {
      throw new FfiUnavailable(`This build of llama.cpp has no function ${name}.`, { cause: error });
    }
  }

  #bind(name: string, result: CType, args: readonly CType[]): (...values: Arguments) => unknown {
    return this.#declare(name, result, args);
  }

  #bindSlow(name: string, result: CType, args: readonly CType[]): SlowCall<unknown> {
    const call = this.#declare(name, result, args);
    return (...values) =>
      new Promise((resolve, reject) => {
        call.async(...values, (error: unknown, value: unknown) => {
          if (error instanceof Error) reject(error);
          else resolve(value);
        });
      });
  }

  #typeOf(type: CType): string | koffi.TypeObject {
    switch (type) {
      case 'pointer':
        return 'void *';
      case 'text':
        return 'const char *';
      case 'int32':
      case 'uint32':
      case 'float':
      case 'bool':
      case 'size_t':
      case 'void':
        return type;
      case 'modelParams':
      case 'contextParams':
      case 'batch':
      case 'chainParams':
      case 'threadpoolParams':
        return this.#types[type];
    }
  }
}

/**
 * The structs of a release as koffi's types.
 *
 * @throws FfiUnavailable where a size is not what the release says.
 */
export function makeStructs(ffi: Koffi, release: Release): Readonly<Record<StructName, koffi.TypeObject>> {
  const make = (name: StructName): koffi.TypeObject => {
    const type = ffi.struct(fieldsOf(ffi, release.structs[name]));
    if (ffi.sizeof(type) !== release.sizes[name]) {
      throw new FfiUnavailable('The structs of llama.cpp have another size on this platform.');
    }
    return type;
  };
  return {
    modelParams: make('modelParams'),
    contextParams: make('contextParams'),
    batch: make('batch'),
    chainParams: make('chainParams'),
    threadpoolParams: make('threadpoolParams'),
  };
}

function fieldsOf(ffi: Koffi, shape: StructShape): Record<string, string | koffi.TypeObject> {
  const typeOf = (type: FieldType): string | koffi.TypeObject => {
    if (type === 'pointer') return 'void *';
    return type === 'bool[512]' ? ffi.array('bool', 512) : type;
  };
  return Object.fromEntries(Object.entries(shape).map(([name, type]) => [name, typeOf(type)]));
}

function asNumber(value: unknown, name: string): number {
  if (typeof value !== 'number') throw new TypeError(`${name} gave no number`);
  return value;
}

function asPointer(value: unknown): Pointer | undefined {
  return typeof value === 'bigint' && value !== 0n ? value : undefined;
}

function asStruct(value: unknown, name: string): Struct {
  if (typeof value !== 'object' || value === null) throw new TypeError(`${name} gave no struct`);
  return Object.fromEntries(Object.entries(value));
}
