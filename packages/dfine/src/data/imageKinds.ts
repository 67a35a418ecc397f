// biome-ignore-all lint/suspicious/noControlCharactersInRegex: the first bytes of files are such characters.
import { type FileKind, fileKind } from "../fileKind.ts";

const convert = (command: string) => `Convert it to JPEG or PNG first, for example with: ${command}`;
const MAGICK = convert("magick FILE new.png (ImageMagick).");
const HEIC = convert(
  "heif-convert FILE new.jpg, sips -s format jpeg FILE --out new.jpg (macOS) or magick FILE new.jpg.",
);
const RAW = "Develop it first, as JPEG or TIFF: what it holds as an ordinary image is a small preview.";
const FRAMES = "Take pictures out of it first, for example with: ffmpeg -i FILE %05d.jpg.";
const UNPACK = "Unpack it, and give the images that are in it.";

/** What people give as images that is not decoded, however whole it is: the end of the sentence "is …", and what to do. */
const KINDS: readonly FileKind<[is: string, remedy: string]>[] = [
  [/^.{4}ftyphe/s, "a HEIC image (HEIF with HEVC, as iPhones write it)", HEIC],
  [/^.{4}ftyp(mif|msf)/s, "an image in HEIF", HEIC],
  [/^(\xff\x0a|.{4}JXL \r\n)/s, "a JPEG XL image", convert("djxl FILE new.png.")],
  [/^(\xff\x4f\xff\x51|.{4}jP {2}\r\n)/s, "a JPEG 2000 image", MAGICK],
  [/^II\xbc/, "a JPEG XR image", MAGICK],
  [/^BM.{4}\0{4}/s, "a BMP image", MAGICK],
  [/^8BPS/, "a Photoshop document", MAGICK],
  [/^P[1-7]\s/, "a PNM image (PPM, PGM, PBM)", MAGICK],
  [/^\0\0[\x01\x02]\0[^\0]/, "an icon (ICO)", MAGICK],
  [/^(v\/1\x01|#\?RAD|DDS |qoif|SIMPLE {2}=)/, "an OpenEXR, HDR, DDS, QOI or FITS image", MAGICK],
  [/^.{128}DICM/s, "a DICOM file", convert("dcmj2pnm +on FILE new.png.")],
  [
    /^(II\*\0.{4}CR|II(RO|RS|U\0)|MMOR|II.{4}HEAPCCDR|FUJIFILMCCD-RAW|FOVb|\0MRM|.{4}ftypcrx)/s,
    "a camera's raw image",
    RAW,
  ],
  [/^%PDF/, "a PDF document", convert("pdftoppm -png FILE page.")],
  [/^(.{4}ftyp(?!avi[fs])|.{4}(moov|mdat|wide)|\x1aE\xdf\xa3|RIFF.{4}AVI |FLV|\0\0\x01[\xb3\xba])/s, "a video", FRAMES],
  [
    /^(\xef\xbb\xbf)?\s*(<\?xml.*|<!--.*|<!DOCTYPE svg.*)?<svg[\s>]/is,
    "an SVG drawing",
    convert("rsvg-convert FILE -o new.png."),
  ],
  [/^(\xef\xbb\xbf)?\s*</, "a web page or XML", "If it was downloaded, that went wrong: fetch the image itself."],
  [/^version https:\/\/git-lfs/, "a pointer of Git LFS, not the image itself", "Fetch it with: git lfs pull."],
  [/^\/annex\/objects/, "a pointer of git-annex, not the image itself", "Fetch it with: git annex get."],
  [
    /^\0\x05\x16\x07/,
    "a companion file of macOS, not the image itself",
    "Delete it: the image has the same name without ._ before it.",
  ],
  [/^(\x1f\x8b|PK\x03\x04|7z\xbc\xaf|Rar!|BZh|\xfd7zXZ)/, "a compressed archive", UNPACK],
  [/^\x93NUMPY/, "a NumPy array", 'Save it as an image first, in Python: PIL.Image.fromarray(array).save("new.png").'],
  [/^\0{64}/, "nothing but zeros where an image begins", "A copy or download broke off: fetch the file again."],
];

/** Raw images of cameras that are TIFF files with a small preview in the first place, so that only their names tell. */
const RAW_NAME = /\.(dng|nef|nrw|arw|sr2|srf|pef|srw|3fr|fff|iiq|erf|mef|mos|kdc|dcr|rwl)$/i;
const TIFF = /^(II[*+]\0|MM\0[*+])/;
/** Kinds that are decoded: a file that begins so and cannot be read is damaged. */
const DECODED = /^(\xff\xd8|\x89PNG|GIF8|RIFF.{4}WEBP|.{4}ftypavi[fs])/s;

/** Kind and remedy of a file that cannot be decoded though it may be whole; undefined for any other. */
export function undecodableKind(name: string, bytes: Uint8Array): { is: string; remedy: string } | undefined {
  const kind = fileKind(KINDS, bytes);
  if (kind) return { is: kind[1], remedy: kind[2] };
  if (RAW_NAME.test(name) && fileKind([[TIFF]], bytes)) return { is: "a camera's raw image", remedy: RAW };
  return bytes.length === 0 ? { is: "empty (0 bytes)", remedy: "Fetch or export it again." } : undefined;
}

/** Whether a file begins like an image of a kind that is decoded. */
export const isDecodedKind = (bytes: Uint8Array): boolean => fileKind([[DECODED], [TIFF]], bytes) !== undefined;
