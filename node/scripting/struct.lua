-- struct, as Redis gives it to scripts (Roberto Ierusalimschy's, 0.2).
local tools = ...
local tonumber = tools.tonumber
local host, charge, fail, about_argument = tools.host, tools.charge, tools.fail, tools.about_argument
local byte, char, sub, find, reverse = string.byte, string.char, string.sub, string.find,
  string.reverse
local floor = math.floor

local INT_SIZE_MAX = 32
local SIZE_MAX = 2147483647
local SIZES = { b = 1, B = 1, h = 2, H = 2, l = 8, L = 8, T = 8, f = 4, d = 8, x = 1 }

local function text_argument(value, place)
  if type(value) == "string" then
    return value
  elseif type(value) == "number" then
    return tostring(value)
  end
  about_argument(place, "string expected, got " .. ((value == nil and place == 1) and "no value" or type(value)))
end

local function number_argument(value, place)
  local found = (type(value) == "number" or type(value) == "string") and tonumber(value)
  if not found then
    about_argument(place, "number expected, got " .. ((value == nil and place == 1) and "no value" or type(value)))
  end
  return found
end

-- A number in a format, `default` without one, and the place behind it.
local function digits_at(form, at, default)
  local _, last = find(form, "^%d+", at)
  if not last then
    return default, at
  end
  local number = tonumber(sub(form, at, last))
  if number > SIZE_MAX then
    fail("integral size overflow")
  end
  return number, last + 1
end

-- What is in front of an option of that size; of odd sizes too as Redis has it, which takes bits.
local function padding_of(letter, size, align, at)
  if size == 0 or letter == "c" or letter == "x" or align == 1 then
    return 0
  end
  local bits = (size > align and align or size) - 1
  return host.bit("band", bits + 1 - host.bit("band", at, bits), bits)
end

-- The options of a format one by one: letter, size, bytes of padding in front of it. Those that say
-- how others are meant come too, with a size of 0, and hold once the next one is asked for.
local function options(form, start, is_lenient)
  local at, is_little, align, total = 1, true, 1, start
  local setting -- One of those, which is to be looked at.

  local function set()
    local letter = setting
    setting = nil
    if letter == ">" then
      is_little = false
    elseif letter == "<" then
      is_little = true
    elseif letter == "!" then
      align, at = digits_at(form, at, 8)
      if align == 0 or align ~= 2 ^ floor(math.log(align) / math.log(2) + 0.5) then
        fail("alignment " .. align .. " is not a power of 2")
      end
    elseif letter ~= " " and not (is_lenient and find(letter, "^%w")) then
      about_argument(1, "invalid format option '" .. letter .. "'")
    end
  end

  return function()
    if setting then
      set()
    end
    if at > #form then
      return nil
    end
    local letter = sub(form, at, at)
    local size = SIZES[letter]
    at = at + 1
    if letter == "i" or letter == "I" then
      size, at = digits_at(form, at, 4)
      if size > INT_SIZE_MAX then
        fail("integral size " .. size .. " is larger than limit of " .. INT_SIZE_MAX)
      end
    elseif letter == "c" then
      size, at = digits_at(form, at, 1)
    elseif letter == "s" then
      size = 0
    elseif not size then
      setting = letter
      return letter, 0, 0, is_little
    end
    local padding = padding_of(letter, size, align, total)
    total = total + padding + size
    return letter, size, padding, is_little, function(more)
      total = total + more
    end
  end
end

local HALF = 4294967296

-- Two's complement, in halves that a double holds. What 64 bits do not hold is as x86-64 has it.
local function integer_bytes(value, size, is_little)
  value = value < 0 and math.ceil(value) or floor(value)
  if value >= 2 ^ 64 then
    value = 0
  elseif value ~= value or value < -(2 ^ 63) then
    value = -(2 ^ 63)
  end
  local low, high = value % HALF, floor(value / HALF) % HALF
  local parts = {}
  for place = 1, size do
    parts[place] = char(low % 256)
    low = floor(low / 256)
    if place == 4 then
      low = high
    end
  end
  local text = table.concat(parts)
  return is_little and text or reverse(text)
end

local function integer_of(text, is_little, is_signed)
  if not is_little then
    text = reverse(text)
  end
  local size = #text > 8 and 8 or #text
  local low, high = 0, 0 -- Put together at the end, so that it is rounded once.
  for place = size, 1, -1 do
    if place > 4 then
      high = high * 256 + byte(text, place)
    else
      low = low * 256 + byte(text, place)
    end
  end
  if is_signed and size > 0 and byte(text, size) >= 128 then
    if size > 4 then
      high = high - 256 ^ (size - 4)
    else
      low = low - 256 ^ size
    end
  end
  return high * HALF + low
end

local SIGNED = { b = true, h = true, l = true, i = true }
local FLOATS = { f = "<f", d = "<d" }
local struct = {}

function struct.pack(form, ...)
  form = text_argument(form, 1)
  local parts, count, place = {}, 0, 0
  local total = 0
  local function put(text)
    total = total + #text
    charge(#text / 8)
    count = count + 1
    parts[count] = text
  end
  for letter, size, padding, is_little, grow in options(form, 0) do
    if padding > 0 then
      put(string.rep("\0", padding))
    end
    if letter == "x" then
      put("\0")
    elseif letter == "s" or letter == "c" then
      place = place + 1
      local text = text_argument((select(place, ...)), place + 1)
      if letter == "c" then
        if size == 0 then
          size = #text
          grow(size)
        elseif #text < size then
          about_argument(place + 2, "string too short")
        end
        put(sub(text, 1, size))
      else
        put(text .. "\0")
        grow(#text + 1)
      end
    elseif SIZES[letter] or letter == "i" or letter == "I" then
      place = place + 1
      local value = number_argument((select(place, ...)), place + 1)
      if FLOATS[letter] then
        local text = host.float_bytes(FLOATS[letter], value)
        if value == 0 and 1 / value < 0 then -- Lost on the way there.
          text = sub(text, 1, -2) .. "\128"
        end
        put(is_little and text or reverse(text))
      else
        put(integer_bytes(value, size, is_little))
      end
    end
  end
  return table.concat(parts)
end

function struct.unpack(form, text, start)
  form, text = text_argument(form, 1), text_argument(text, 2)
  local at = start == nil and 1 or number_argument(start, 3)
  at = (at < 0 and math.ceil(at) or floor(at)) - 1
  if at == -1 then
    about_argument(3, "offset must be 1 or greater")
  end
  local found, count = {}, 0
  local function need(size)
    if not (at >= 0 and at <= #text - size) then
      about_argument(2, "data string too short")
    end
  end
  for letter, size, padding, is_little, grow in options(form, at) do
    at = at + padding
    need(size)
    if letter == "x" then
      at = at + 1
    elseif letter == "s" then
      local stop = find(text, "\0", at + 1, true) or find(text, "%z", at + 1)
      if not stop then
        fail("unfinished string in data")
      end
      count = count + 1
      found[count] = sub(text, at + 1, stop - 1)
      charge((stop - at) / 8)
      grow(stop - at)
      at = stop
    elseif letter == "c" then
      if size == 0 then
        size = count > 0 and tonumber(found[count]) -- Of a text, too.
        if not size then
          fail("format 'c0' needs a previous size")
        end
        found[count] = nil
        count = count - 1
        size = (size > -1 and size < 2 ^ 53) and floor(size < 0 and 0 or size) or SIZE_MAX
        need(size)
        grow(size)
      end
      count = count + 1
      found[count] = sub(text, at + 1, at + size)
      charge(size / 8)
      at = at + size
    elseif SIZES[letter] or letter == "i" or letter == "I" then
      local piece = sub(text, at + 1, at + size)
      count = count + 1
      if FLOATS[letter] then
        found[count] = host.bytes_float(FLOATS[letter], is_little and piece or reverse(piece))
      else
        found[count] = integer_of(piece, is_little, SIGNED[letter])
      end
      at = at + size
    end
    if count > 7000 then
      fail("too many results to unpack")
    end
  end
  found[count + 1] = at + 1
  return unpack(found, 1, count + 1)
end

function struct.size(form)
  form = text_argument(form, 1)
  local total = 0
  for letter, size, padding in options(form, 0, true) do
    if letter == "s" then
      about_argument(1, "option 's' has no fixed size")
    elseif letter == "c" and size == 0 then
      about_argument(1, "option 'c0' has no fixed size")
    end
    total = total + padding + size
    if total > SIZE_MAX then
      fail("format too large")
    end
  end
  return total
end

return struct
